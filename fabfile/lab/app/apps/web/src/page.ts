import { runtime } from "@islandflow/service";
import type { Build } from "./build";

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>${title}</title></head>
<body data-runtime="${runtime}">${body}</body>
</html>
`;
}

export function home(build: Build | null): string {
  const script = build ? `<script type="module" src="${build.script}"></script>` : "";
  return page(
    "Islandflow",
    `<h1>Islandflow</h1>
<p>Served by <b>${runtime}</b>, build <code>${build?.id ?? "none"}</code>.</p>
<p>Live events: <output id="live">0</output></p>${script}`,
  );
}

export function notFound(): string {
  return page("404: This page could not be found.", "<h1>404</h1><p>This page could not be found.</p>");
}
