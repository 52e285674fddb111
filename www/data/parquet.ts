// Parquet to columns, with errors that say what was expected and what was found. Runs in the worker.

import { parquetMetadataAsync, parquetRead, type AsyncBuffer, type FileMetaData } from "hyparquet";
import { EngineFailure, failure } from "../engine/failure";
import type { Column, NumberColumn, TableData } from "./table";

const MAGIC = "PAR1";
/** More rows than any run has; a damaged footer can claim anything. */
const MOST_ROWS = 50_000_000;

/** A blob as what hyparquet reads from. */
export function blobBuffer(blob: Blob): AsyncBuffer {
  return { byteLength: blob.size, slice: (start, end) => blob.slice(start, end).arrayBuffer() };
}

/** The footer of a file called `name`, after a look at both ends. */
export async function readMetadata(name: string, buffer: AsyncBuffer): Promise<FileMetaData> {
  const size = buffer.byteLength;
  const head = new Uint8Array(await buffer.slice(0, Math.min(size, 16)));
  const tail = new Uint8Array(await buffer.slice(Math.max(0, size - 4), size));
  if (size === 0) {
    throw failure("truncated", `${name}: expected a Parquet file, found an empty file`, "download or copy it again");
  }
  if (ascii(head.subarray(0, 4)) !== MAGIC) {
    throw failure(
      "malformed",
      `${name}: expected a Parquet file, found ${describe(head)}`,
      "choose the Parquet files that saescope wrote for a run",
    );
  }
  if (size < 12 || ascii(tail) !== MAGIC) {
    throw failure(
      "truncated",
      `${name}: expected a footer that ends with ${MAGIC}, found none: the file stops early, after ${size.toLocaleString("en")} bytes`,
      "download or copy it again",
    );
  }
  try {
    return await parquetMetadataAsync(buffer, { geoparquet: false });
  } catch (reason) {
    throw damaged(name, "its footer", reason);
  }
}

/** Every flat column of a Parquet file. `needed` columns must be there. */
export async function readTable(name: string, buffer: AsyncBuffer, needed: string[]): Promise<TableData> {
  const metadata = await readMetadata(name, buffer);
  const rows = countRows(name, metadata);
  const leaves = metadata.schema.slice(1).filter((element) => element.type !== undefined);
  requireColumns(name, needed, leaves.map((element) => element.name));
  const flat = metadata.schema.length - 1 === leaves.length;
  if (!flat) {
    throw failure("mismatch", `${name}: expected plain columns, found nested ones`, "open files that saescope wrote");
  }

  const columns = new Map<string, Column>();
  const received = new Map<string, number>();
  for (const { name: column, type } of leaves) {
    const kind = kindOf(type);
    columns.set(
      column,
      kind === "text"
        ? { name: column, kind, values: new Array<string>(rows).fill("") }
        : { name: column, kind, values: new Float64Array(rows).fill(NaN) },
    );
    received.set(column, 0);
  }
  try {
    await parquetRead({
      file: buffer,
      metadata,
      geoparquet: false,
      onChunk: ({ columnName, columnData, rowStart }) => {
        const column = columns.get(columnName);
        if (column === undefined) return;
        for (let i = 0; i < columnData.length; i++) {
          const value: unknown = columnData[i];
          if (value === null || value === undefined) continue;
          if (column.kind === "text") column.values[rowStart + i] = String(value);
          else column.values[rowStart + i] = Number(value);
        }
        received.set(columnName, (received.get(columnName) ?? 0) + columnData.length);
      },
    });
  } catch (reason) {
    throw damaged(name, "its columns", reason);
  }
  for (const [column, count] of received) {
    if (count !== rows) {
      throw failure(
        "malformed",
        `${name}: column ${column}: expected ${rows} values, found ${count}`,
        "the file is damaged: download or copy it again",
      );
    }
  }
  return { rows, columns: [...columns.values()], schemaVersion: schemaVersion(metadata) };
}

/** The number of rows that a footer announces. */
export function countRows(name: string, metadata: FileMetaData): number {
  const rows = Number(metadata.num_rows);
  if (!(rows >= 0 && rows <= MOST_ROWS)) {
    throw failure(
      "unsupported",
      `${name}: expected at most ${MOST_ROWS.toLocaleString("en")} rows, found ${metadata.num_rows}`,
      "read a table of this size with polars, pandas or DuckDB",
    );
  }
  return rows;
}

/** Fails where one of `needed` is not among `found`. */
export function requireColumns(name: string, needed: string[], found: string[]): void {
  const missing = needed.filter((column) => !found.includes(column));
  if (missing.length === 0) return;
  const shown = found.slice(0, 5).join(", ") + (found.length > 5 ? ` and ${found.length - 5} more` : "");
  throw failure(
    "mismatch",
    `${name}: expected ${plural(missing.length, "a column", "the columns")} ${missing.join(", ")}, ` +
      `found a Parquet file with the columns ${shown || "(none)"}`,
    "open the files that saescope wrote for one run, without leaving out columns",
  );
}

/** What a failed read of `part` of the file amounts to. */
export function damaged(name: string, part: string, reason: unknown): EngineFailure {
  if (reason instanceof EngineFailure) return reason;
  const words = reason instanceof Error ? reason.message : String(reason);
  const codec = /compression codec: (\w+)/.exec(words)?.[1];
  if (codec !== undefined) {
    return failure(
      "unsupported",
      `${name}: expected Snappy compression or none, found ${codec}`,
      "write the file again with compression=\"snappy\"",
    );
  }
  return failure("malformed", `${name}: ${part} cannot be read (${words})`, "the file is damaged: download or copy it again");
}

function schemaVersion(metadata: FileMetaData): number | null {
  const pair = metadata.key_value_metadata?.find(({ key }) => key === "saescope.schema_version");
  const version = Number(pair?.value ?? NaN);
  return Number.isFinite(version) ? version : null;
}

function kindOf(type: string | undefined): NumberColumn["kind"] | "text" {
  switch (type) {
    case "BOOLEAN":
      return "bool";
    case "INT32":
    case "INT64":
      return "int";
    case "FLOAT":
    case "DOUBLE":
      return "float";
    default:
      return "text";
  }
}

function ascii(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function plural(n: number, one: string, many: string): string {
  return n === 1 ? one : many;
}

/** What a file that is not Parquet looks like. */
function describe(head: Uint8Array): string {
  const text = ascii(head);
  const start = text.trimStart()[0];
  if (start === "<") return "a web page (the address may be wrong)";
  if (start === "{" || start === "[") return "JSON";
  if (text.startsWith("PK")) return "a ZIP archive";
  if (text.startsWith("ARROW1")) return "an Arrow (Feather) file";
  if (text.startsWith("\x1f\x8b")) return "a gzip file";
  if (/^[\x09\x0a\x0d\x20-\x7e]+$/.test(text)) return `a text that begins with “${text.trim()}”`;
  return `a file that begins with the bytes ${[...head.subarray(0, 4)].map((b) => b.toString(16).padStart(2, "0")).join(" ")}`;
}
