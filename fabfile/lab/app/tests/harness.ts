import { join } from "node:path";
import { connect, type NatsConnection } from "nats";

const ROOT = join(import.meta.dir, "..");
const READY_MS = 5_000;

/** The tests run on real servers: NATS_URL, REDIS_URL and CLICKHOUSE_URL must name them. */
export function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} must name a server to test with`);
  return value;
}

const SERVERS = {
  NATS_URL: required("NATS_URL"),
  REDIS_URL: required("REDIS_URL"),
  CLICKHOUSE_URL: required("CLICKHOUSE_URL"),
};

export async function until(what: string, holds: () => Promise<boolean> | boolean, ms = READY_MS) {
  const deadline = performance.now() + ms;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await Bun.sleep(20);
  }
}

export function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  listener.stop();
  return listener.port;
}

/** One process of the app, started as its unit starts it; `await using` stops it however the test ends. */
export class Service implements AsyncDisposable {
  output = "";

  private constructor(
    readonly name: string,
    readonly port: number,
    private readonly process: Bun.Subprocess<"ignore", "pipe", "pipe">,
  ) {
    void this.#read(process.stdout);
    void this.#read(process.stderr);
  }

  static spawn(folder: string, env: Record<string, string> = {}): Service {
    const port = freePort();
    const process = Bun.spawn([globalThis.process.execPath, "run", "src/index.ts"], {
      cwd: join(ROOT, folder),
      stdout: "pipe",
      stderr: "pipe",
      stdin: "ignore",
      env: { ...SERVERS, ISLANDFLOW_RUNTIME: "native", API_PORT: `${port}`, WEB_PORT: `${port}`, ...env },
    });
    return new Service(folder.split("/").at(-1) ?? folder, port, process);
  }

  static async start(folder: string, env: Record<string, string> = {}): Promise<Service> {
    const service = Service.spawn(folder, env);
    await service.started();
    return service;
  }

  async started(): Promise<void> {
    await until(`${this.name} started`, () => this.output.includes(": started"));
  }

  async #read(stream: ReadableStream<Uint8Array>) {
    const decoder = new TextDecoder();
    for await (const chunk of stream) this.output += decoder.decode(chunk, { stream: true });
  }

  fetch(path: string, init?: RequestInit): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.port}${path}`, init);
  }

  live(): Live {
    return new Live(`ws://127.0.0.1:${this.port}/ws/live`);
  }

  exited(): Promise<number> {
    return this.process.exited;
  }

  async stop(): Promise<{ code: number; ms: number }> {
    const started = performance.now();
    this.process.kill("SIGTERM");
    const code = await this.process.exited;
    return { code, ms: performance.now() - started };
  }

  async [Symbol.asyncDispose]() {
    await this.stop();
  }
}

/** A websocket client that keeps what it is told. */
export class Live {
  readonly events: { kind: string; seq: number; runtime: string }[] = [];
  readonly closed: Promise<number>;
  readonly #socket: WebSocket;

  constructor(url: string) {
    this.#socket = new WebSocket(url);
    this.#socket.onmessage = ({ data }) => this.events.push(JSON.parse(data));
    this.closed = new Promise((resolve) => {
      this.#socket.onclose = ({ code }) => resolve(code);
    });
  }

  next(): Promise<void> {
    const seen = this.events.length;
    return until("another live event", () => this.events.length > seen);
  }

  close() {
    this.#socket.close();
  }
}

/** What JetStream says of a durable. */
export class Watch {
  private constructor(private readonly nc: NatsConnection) {}

  static async open(): Promise<Watch> {
    return new Watch(await connect({ servers: SERVERS.NATS_URL }));
  }

  async bound(stream: string, durable: string): Promise<boolean> {
    const jsm = await this.nc.jetstreamManager();
    return (await jsm.consumers.info(stream, durable)).push_bound === true;
  }

  async lastNumber(stream: string): Promise<number> {
    const jsm = await this.nc.jetstreamManager();
    return (await jsm.streams.info(stream)).state.last_seq;
  }

  async streams() {
    const jsm = await this.nc.jetstreamManager();
    return (await jsm.streams.list().next()).map((stream) => stream.config);
  }

  async consumer(stream: string, durable: string) {
    const jsm = await this.nc.jetstreamManager();
    return (await jsm.consumers.info(stream, durable)).config;
  }

  close() {
    return this.nc.close();
  }
}
