// Whether a Parquet file may be read as its footer says: a damaged one can claim anything, and hyparquet makes
// room for it.

import type { AsyncBuffer, FileMetaData, RowGroup } from "hyparquet";
import { failure, wordsOf } from "../engine/failure";
import { shown } from "../foreign";
import { checkPages } from "./pages";
import { readStruct } from "./thrift";

export const MAGIC = "PAR1";
export const DAMAGED = "the file is damaged: download or copy it again";
/** More than any run has. */
const MOST_ROWS = 50_000_000;
const MOST_COLUMNS = 10_000;
/** What a table may take in memory, whatever the file's size: a column of one value takes next to nothing
 *  there. A large file may take in proportion. */
const MOST_BYTES = 64e6;
/** Columns of other types are in no run. */
const TYPES = new Set(["BOOLEAN", "INT32", "INT64", "FLOAT", "DOUBLE", "BYTE_ARRAY"]);

/** Fails where the footer is no structure that its bytes can hold. */
export async function checkFooter(buffer: AsyncBuffer): Promise<void> {
  const end = buffer.byteLength - 8;
  const length = new DataView(await buffer.slice(end, end + 4)).getUint32(0, true);
  if (length > end - MAGIC.length) throw new Error(`${length} bytes of it in a file of ${buffer.byteLength}`);
  readStruct(new Uint8Array(await buffer.slice(end - length, end)));
}

/** Fails where a footer promises what the file has no bytes for, or what no run has. */
export function checkShape(name: string, { schema, row_groups, num_rows }: FileMetaData, size: number): void {
  const [root, ...leaves] = schema;
  const plain = leaves.every(({ name, type, num_children, repetition_type, converted_type, logical_type }) => {
    const understood = converted_type === undefined || /^(UTF8|ENUM|U?INT_\d+)$/.test(converted_type);
    const logical = logical_type === undefined || /^(STRING|ENUM|INTEGER)$/.test(logical_type.type);
    return typeof name === "string" && TYPES.has(type ?? "") && !num_children && repetition_type !== "REPEATED" && understood && logical;
  });
  if (!plain || root?.num_children !== leaves.length) {
    throw failure("mismatch", `${name}: expected columns of numbers, truth values and texts, found others or nested ones`, "open files that saescope wrote");
  }
  if (leaves.length > MOST_COLUMNS) {
    throw failure("unsupported", `${name}: expected at most ${MOST_COLUMNS.toLocaleString("en")} columns, found ${leaves.length.toLocaleString("en")}`);
  }
  const rows = Number(num_rows);
  if (!(rows >= 0 && rows <= MOST_ROWS)) {
    throw failure(
      "unsupported",
      `${name}: expected at most ${MOST_ROWS.toLocaleString("en")} rows, found ${String(num_rows)}`,
      "read a table of this size with polars, pandas or DuckDB",
    );
  }
  const groups = row_groups.map((group) => Number(group.num_rows));
  const sum = groups.reduce((all, rows) => all + rows, 0);
  if (groups.some((rows) => !(rows >= 0)) || sum !== rows) {
    throw failure("malformed", `${name}: expected row groups of ${rows} rows together, found ${sum}`, DAMAGED);
  }
  if (rows > size || rows * leaves.length * 8 > MOST_BYTES + 32 * size) {
    const found = `${rows.toLocaleString("en")} rows of ${leaves.length} columns in ${size.toLocaleString("en")} bytes`;
    throw failure("malformed", `${name}: expected a table that its bytes can hold, found ${found}`, DAMAGED);
  }
  const stored = row_groups.flatMap(({ columns }) => columns).reduce((all, { meta_data }) => all + Number(meta_data?.total_compressed_size), 0);
  if (!(stored <= size)) {
    throw failure("malformed", `${name}: expected columns beside each other, found ${stored} bytes of them in a file of ${size}`, DAMAGED);
  }
}

/** Looks at the pages of a row group's columns, before hyparquet makes room for what they say. */
export async function checkGroup(file: AsyncBuffer, { schema }: FileMetaData, { columns, num_rows }: RowGroup, wanted: string[]): Promise<void> {
  const elements = new Map(schema.slice(1).map((element) => [element.name, element]));
  const left = new Set(wanted);
  for (const { meta_data: meta } of columns) {
    const column = meta?.path_in_schema[0];
    const element = elements.get(column ?? "");
    if (meta === undefined || column === undefined || !wanted.includes(column)) continue;
    if (!left.delete(column) || element === undefined || meta.path_in_schema.length !== 1 || meta.type !== element.type) {
      throw new Error(`column ${shown(column)} is not the one that its schema describes`);
    }
    const codec: string = meta.codec;
    if (codec !== "SNAPPY" && codec !== "UNCOMPRESSED") throw new Error(`parquet unsupported compression codec: ${codec}`);
    const start = Number(meta.dictionary_page_offset || meta.data_page_offset);
    const end = start + Number(meta.total_compressed_size);
    if (!(start >= MAGIC.length && start <= end && end <= file.byteLength)) throw new Error(`column ${shown(column)} lies outside of the file`);
    const optional = element.repetition_type !== "REQUIRED";
    try {
      checkPages(new Uint8Array(await file.slice(start, end)), { type: meta.type, optional, codec }, Number(num_rows));
    } catch (reason) {
      throw new Error(`column ${shown(column)}: ${wordsOf(reason)}`);
    }
  }
  const [missing] = left;
  if (missing !== undefined) throw new Error(`column ${shown(missing)} is missing in a row group`);
}
