import { eventually, text } from "@islandflow/service";

const DATABASE = "islandflow";
const QUERY_MS = 5_000;

export interface Row {
  seq: number;
  at: string;
  runtime: string;
  body: string;
}

export interface Counts {
  rows: number;
  distinct: number;
  min: number;
  max: number;
}

export class ClickHouse {
  readonly #url = text("CLICKHOUSE_URL", "http://127.0.0.1:8123");

  /** Waits for the server and creates what is not there yet. */
  static async open(tables: string[]): Promise<ClickHouse> {
    const store = new ClickHouse();
    await eventually(`ClickHouse at ${store.#url}`, async () => {
      await store.#query(`CREATE DATABASE IF NOT EXISTS ${DATABASE}`);
      for (const table of tables) await store.#query(definition(table));
    });
    return store;
  }

  async insert(table: string, rows: Row[]): Promise<void> {
    const lines = rows.map((row) => JSON.stringify(row)).join("\n");
    await this.#query(`INSERT INTO ${DATABASE}.${table} FORMAT JSONEachRow\n${lines}`);
  }

  async counts(table: string): Promise<Counts> {
    const [found] = await this.#select<Counts>(
      `SELECT count() AS rows, uniqExact(seq) AS distinct, min(seq) AS min, max(seq) AS max
       FROM ${DATABASE}.${table}`,
    );
    const { rows = 0, distinct = 0, min = 0, max = 0 } = found ?? {};
    return { rows: Number(rows), distinct: Number(distinct), min: Number(min), max: Number(max) };
  }

  async latest(table: string, limit: number): Promise<unknown[]> {
    const rows = await this.#select<{ body: string }>(
      `SELECT body FROM ${DATABASE}.${table} ORDER BY seq DESC LIMIT ${limit}`,
    );
    return rows.map((row) => JSON.parse(row.body));
  }

  async #select<T>(sql: string): Promise<T[]> {
    const lines = await this.#query(`${sql} FORMAT JSONEachRow`);
    return lines.split("\n").filter(Boolean).map((line) => JSON.parse(line) as T);
  }

  async #query(sql: string): Promise<string> {
    const signal = AbortSignal.timeout(QUERY_MS);
    const response = await fetch(this.#url, { method: "POST", body: sql, signal });
    const body = await response.text();
    if (!response.ok) throw new Error(`ClickHouse answered ${response.status}: ${body.slice(0, 300)}`);
    return body;
  }
}

// Here a server may live for seconds only, and by its defaults it clears up merged parts after minutes.
function definition(table: string): string {
  return `CREATE TABLE IF NOT EXISTS ${DATABASE}.${table}
    (seq UInt64, at String, runtime LowCardinality(String), body String)
    ENGINE = MergeTree ORDER BY seq
    SETTINGS old_parts_lifetime = 10, cleanup_delay_period = 5, cleanup_delay_period_random_add = 0`;
}
