const MIB = 1024 * 1024;

/** How long messages are kept, and how much of them, is the same for all streams of an origin. */
type Origin = "raw" | "derived";

const MAX_BYTES: Record<Origin, number> = { raw: 512 * MIB, derived: 256 * MIB };

export interface Feed {
  stream: string;
  subject: string;
  origin: Origin;
  maxBytes: number;
}

function feed(stream: string, origin: Origin): Feed {
  const subject = stream.toLowerCase().replaceAll("_", ".");
  return { stream, subject, origin, maxBytes: MAX_BYTES[origin] };
}

/** What flows, by kind. A service's durable is named after itself and the kind: `api-option-prints`. */
export const CATALOGUE = {
  "option-prints": feed("OPTIONS_PRINTS", "raw"),
  "option-nbbo": feed("OPTIONS_NBBO", "raw"),
  "equity-prints": feed("EQUITY_PRINTS", "raw"),
  "equity-quotes": feed("EQUITY_QUOTES", "raw"),
  "option-signal-prints": feed("OPTIONS_SIGNAL_PRINTS", "derived"),
  "equity-candles": feed("EQUITY_CANDLES", "derived"),
  "equity-joins": feed("EQUITY_JOINS", "derived"),
  "inferred-dark": feed("INFERRED_DARK", "derived"),
  "flow-packets": feed("FLOW_PACKETS", "derived"),
  "smart-money-events": feed("SMART_MONEY_EVENTS", "derived"),
  "classifier-hits": feed("CLASSIFIER_HITS", "derived"),
  alerts: feed("ALERTS", "derived"),
} satisfies Record<string, Feed>;

export type Kind = keyof typeof CATALOGUE;
