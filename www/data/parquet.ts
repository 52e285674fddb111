// Parquet to columns, with errors that say what was expected and what was found. Runs in the worker.

import { parquetMetadataAsync, parquetRead, type AsyncBuffer, type FileMetaData } from "hyparquet";
import { EngineFailure, failure, wordsOf } from "../engine/failure";
import { listed, shown } from "../foreign";
import { checkFooter, checkGroup, checkShape, DAMAGED, MAGIC } from "./footer";
import type { Column, NumberColumn, TableData } from "./table";

/** What texts may take in memory, in letters, whatever the file's size: a dictionary can give each row the
 *  same megabyte. A large file may have more in proportion. */
const MOST_LETTERS = 32e6;

/** Files up to this size are read at once: some hundred columns one by one are as many ways to the browser. */
const READ_WHOLE = 64e6;

/** A blob as what hyparquet reads from. */
export function blobBuffer(blob: Blob): AsyncBuffer {
  if (blob.size > READ_WHOLE) return { byteLength: blob.size, slice: (start, end) => blob.slice(start, end).arrayBuffer() };
  let bytes: Promise<ArrayBuffer> | null = null;
  return { byteLength: blob.size, slice: async (start, end) => (await (bytes ??= blob.arrayBuffer())).slice(start, end) };
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
  let metadata: FileMetaData;
  try {
    await checkFooter(buffer);
    metadata = await parquetMetadataAsync(buffer, { geoparquet: false });
  } catch (reason) {
    throw damaged(name, "its footer", reason);
  }
  checkShape(name, metadata, size);
  return metadata;
}

/** Every column of a Parquet file. `needed` columns must be there. */
export async function readTable(name: string, buffer: AsyncBuffer, needed: string[]): Promise<TableData> {
  const metadata = await readMetadata(name, buffer);
  const rows = Number(metadata.num_rows);
  const leaves = metadata.schema.slice(1);
  requireColumns(name, needed, leaves.map((element) => element.name));

  const columns = new Map<string, Column>();
  for (const { name: column, type } of leaves) {
    const kind = kindOf(type);
    columns.set(
      column,
      kind === "text"
        ? { name: column, kind, values: new Array<string>(rows).fill("") }
        : { name: column, kind, values: new Float64Array(rows).fill(NaN) },
    );
  }
  let letters = MOST_LETTERS + 8 * buffer.byteLength;
  await readColumns(name, buffer, metadata, leaves.map((element) => element.name), (columnName, first, values) => {
    const column = columns.get(columnName) as Column;
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (value === null) continue;
      if (column.kind === "text") {
        const text = String(value);
        letters -= text.length;
        if (letters < 0) throw new Error(`column ${shown(columnName)} repeats long texts until they fill the memory`);
        column.values[first + i] = text;
      } else column.values[first + i] = Number(value);
    }
  });
  return { rows, columns: [...columns.values()], schemaVersion: schemaVersion(metadata) };
}

/** Gives `take` the values of some columns, a page at a time: what it throws ends the reading, and is said
 *  of the file. Columns of a row group come before those of the next. */
export async function readColumns(
  name: string,
  buffer: AsyncBuffer,
  metadata: FileMetaData,
  wanted: string[],
  take: (column: string, first: number, values: ArrayLike<unknown>) => void,
): Promise<void> {
  let first = 0;
  try {
    for (const group of metadata.row_groups) {
      await checkGroup(buffer, metadata, group, wanted);
      await readGroup(buffer, { ...metadata, row_groups: [group] }, wanted, first, take);
      first += Number(group.num_rows);
    }
  } catch (reason) {
    throw damaged(name, "its columns", reason);
  }
}

/** A row group whose pages were looked at. */
async function readGroup(
  file: AsyncBuffer,
  metadata: FileMetaData,
  columns: string[],
  first: number,
  take: (column: string, first: number, values: ArrayLike<unknown>) => void,
): Promise<void> {
  const received = new Map(columns.map((column) => [column, 0]));
  // hyparquet does not hear of what its callback throws
  const thrown: unknown[] = [];
  await parquetRead({
    file,
    metadata,
    columns,
    geoparquet: false,
    onChunk: ({ columnName, columnData, rowStart }) => {
      try {
        received.set(columnName, (received.get(columnName) ?? 0) + columnData.length);
        // a null is null
        if (Array.isArray(columnData) && columnData.includes(undefined)) throw new Error(`column ${shown(columnName)} points outside of its dictionary`);
        take(columnName, first + rowStart, columnData);
      } catch (reason) {
        thrown.push(reason);
      }
    },
  });
  if (thrown.length > 0) throw thrown[0];
  const rows = Number(metadata.row_groups[0]?.num_rows);
  for (const [column, count] of received) {
    if (count !== rows) throw new Error(`column ${shown(column)}: expected ${rows} values in a row group, found ${count}`);
  }
}

/** Fails where one of `needed` is not among `found`. */
export function requireColumns(name: string, needed: string[], found: string[]): void {
  const missing = needed.filter((column) => !found.includes(column));
  if (missing.length === 0) return;
  throw failure(
    "mismatch",
    `${name}: expected ${plural(missing.length, "a column", "the columns")} ${missing.join(", ")}, ` +
      `found a Parquet file with the columns ${listed(found, 5) || "(none)"}`,
    "open the files that saescope wrote for one run, without leaving out columns",
  );
}

/** What a failed read of `part` of the file amounts to. */
export function damaged(name: string, part: string, reason: unknown): EngineFailure {
  if (reason instanceof EngineFailure) return reason;
  const words = wordsOf(reason);
  const codec = /compression codec: (\w+)/.exec(words)?.[1];
  if (codec !== undefined) {
    return failure(
      "unsupported",
      `${name}: expected Snappy compression or none, found ${codec}`,
      "write the file again with compression=\"snappy\"",
    );
  }
  return failure("malformed", `${name}: ${part} cannot be read (${words})`, DAMAGED);
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
