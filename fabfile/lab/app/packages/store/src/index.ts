export { Cache } from "./cache";
export { ClickHouse, type Counts, type Row } from "./clickhouse";
