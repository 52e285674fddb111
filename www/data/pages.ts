// Whether the pages of a column may be decoded: hyparquet makes room for as many bytes and values as their
// headers and runs say, and three bytes can say a billion. All that it would make is held here against the
// rows of the group and the bytes that are there.
//
// Formats: <https://github.com/apache/parquet-format/blob/master/Encodings.md>.

import { snappyUncompress } from "hyparquet";
import { readStruct, type Fields } from "./thrift";

/** What of a column's metadata its pages depend on. */
export interface Chunk {
  type: string;
  /** Whether it may hold nulls, and its pages begin with levels that tell them. */
  optional: boolean;
  codec: "SNAPPY" | "UNCOMPRESSED";
}

// numbers of the format
const DATA_PAGE = 0;
const DICTIONARY_PAGE = 2;
const DATA_PAGE_V2 = 3;
const PLAIN = 0;
const PLAIN_DICTIONARY = 2;
const RLE = 3;
const RLE_DICTIONARY = 8;

/** Snappy's densest element makes 64 bytes of three. */
const SNAPPY_RATIO = 22;

/** Walks the pages of a column in a row group of `rows`. Throws an Error in words at what does not add up. */
export function checkPages(bytes: Uint8Array, chunk: Chunk, rows: number): void {
  let at = 0;
  let left = rows;
  // as far as hyparquet goes: what comes behind the last row is not read
  while (left > 0 && at < bytes.length - 1) {
    const { fields, end } = readStruct(bytes, at);
    const stored = whole(fields, 3, bytes.length - end, "stored bytes of a page");
    left -= checkPage(bytes.subarray(end, end + stored), fields, chunk, left);
    at = end + stored;
  }
  if (left > 0) throw new Error(`expected ${rows} values, found ${rows - left}`);
}

/** Gives the rows of a page. */
function checkPage(stored: Uint8Array, header: Fields, chunk: Chunk, left: number): number {
  const most = chunk.codec === "SNAPPY" ? stored.length * SNAPPY_RATIO : stored.length;
  const size = whole(header, 2, most, "bytes of a page");
  switch (header.get(1)) {
    case DICTIONARY_PAGE:
      // no value takes less than a byte there
      whole(struct(header, 7), 1, size, "values of a dictionary");
      return 0;
    case DATA_PAGE: {
      const data = struct(header, 5);
      const values = whole(data, 1, left, "values of a page");
      const encoding = encodingOf(data.get(2), chunk);
      // plain values of a column without nulls are as long as they are
      if (encoding !== PLAIN || chunk.optional) checkFirst(unpacked(stored, size, chunk.codec), values, encoding, chunk.optional);
      return values;
    }
    case DATA_PAGE_V2: {
      const data = struct(header, 8);
      const values = whole(data, 1, left, "values of a page");
      whole(data, 3, left, "rows of a page");
      checkSecond(stored, size, data, values, chunk);
      return values;
    }
    default:
      throw new Error(`a page of type ${String(header.get(1))}`);
  }
}

function encodingOf(encoding: unknown, { type }: Chunk): number {
  const runs = type === "BOOLEAN" ? [RLE] : [PLAIN_DICTIONARY, RLE_DICTIONARY];
  if (typeof encoding === "number" && [PLAIN, ...runs].includes(encoding)) return encoding;
  throw new Error(`encoding ${String(encoding)}, expected plain values or a dictionary`);
}

/** A page of version 1: levels, with their length before them, and values, packed together. */
function checkFirst(page: Uint8Array, values: number, encoding: number, optional: boolean): void {
  const start = optional ? 4 + sized(page, 0) : 0;
  const present = optional ? new Runs(page.subarray(4, start), 1).ones(values) : values;
  // a dictionary of one value has indices of no bits, and no runs
  const none = encoding === PLAIN || present === 0 || (encoding !== RLE && page[start] === 0);
  if (!none) checkValues(page.subarray(start), present, encoding);
}

/** A page of version 2: levels as they are, and packed values. */
function checkSecond(stored: Uint8Array, size: number, data: Fields, values: number, chunk: Chunk): void {
  const { optional, codec } = chunk;
  const nulls = whole(data, 2, values, "nulls of a page");
  whole(data, 6, 0, "bytes of repetition levels");
  const start = whole(data, 5, optional ? Math.min(stored.length, size) : 0, "bytes of levels");
  if (optional) new Runs(stored.subarray(0, start), 1).skip(values);
  const encoding = encodingOf(data.get(4), chunk);
  const packed = stored.subarray(start);
  if (encoding === PLAIN || nulls === values) return;
  checkValues(data.get(7) === false ? packed : unpacked(packed, size - start, codec), values - nulls, encoding);
}

/** Truth values or indices come in runs: none may be longer than there are values. */
function checkValues(bytes: Uint8Array, count: number, encoding: number): void {
  if (encoding === RLE) {
    new Runs(bytes.subarray(4, 4 + sized(bytes, 0)), 1).skip(count);
    return;
  }
  const width = bytes[0] ?? -1;
  if (width < 0 || width > 32) throw new Error(`indices of ${width} bits`);
  new Runs(bytes.subarray(1), width).skip(count);
}

/** A length of four bytes at a place, which has to be there. */
function sized(page: Uint8Array, at: number): number {
  const length = page.length < at + 4 ? -1 : new DataView(page.buffer, page.byteOffset + at, 4).getUint32(0, true);
  if (length < 0 || length > page.length - at - 4) throw new Error("levels that end behind their page");
  return length;
}

function unpacked(stored: Uint8Array, size: number, codec: Chunk["codec"]): Uint8Array {
  if (codec === "UNCOMPRESSED") return stored;
  const page = new Uint8Array(size);
  snappyUncompress(stored, page);
  return page;
}

/** Runs of one value, and of values of `width` bits side by side. */
class Runs {
  #at = 0;

  constructor(
    readonly bytes: Uint8Array,
    readonly width: number,
  ) {}

  skip(values: number): void {
    for (let left = values; left > 0; ) left -= this.#next(left).values;
  }

  /** How many of so many values of one bit are ones. */
  ones(values: number): number {
    let ones = 0;
    for (let left = values; left > 0; ) {
      const run = this.#next(left);
      const count = Math.min(run.values, left);
      if (run.packed < 0) ones += this.bytes[this.#at - 1] === 1 ? count : 0;
      else for (let i = 0; i < count; i++) ones += ((this.bytes[run.packed + (i >> 3)] ?? 0) >> (i & 7)) & 1;
      left -= count;
    }
    return ones;
  }

  /** The next run: how many values, and where they are packed (-1: they are all the same). */
  #next(left: number): { values: number; packed: number } {
    const head = this.#varint();
    if ((head & 1) === 1) {
      const [groups, packed] = [head >>> 1, this.#at];
      this.#at += groups * this.width;
      // the last group may be cut after its last value
      const most = this.width === 0 ? left + 7 : Infinity;
      if (head < 0 || groups * 8 > most || this.#at > this.bytes.length + this.width) throw new Error("packed values that end behind their page");
      return { values: groups * 8, packed };
    }
    const values = head >>> 1;
    if (values > left) throw new Error(`a run of ${values} where ${left} values are left`);
    this.#at += (this.width + 7) >> 3;
    if (this.#at > this.bytes.length) throw new Error("a run that ends behind its page");
    return { values, packed: -1 };
  }

  #varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.bytes[this.#at++];
      if (byte === undefined) throw new Error("runs that end early");
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
    throw new Error("a run without an end");
  }
}

function struct(fields: Fields, id: number): Fields {
  const value = fields.get(id);
  if (!(value instanceof Map)) throw new Error("a page without its header");
  return value;
}

/** A number of a header that has to lie between 0 and `most`. */
function whole(fields: Fields, id: number, most: number, what: string): number {
  const value = fields.get(id);
  if (typeof value !== "number" || value < 0 || value > most) throw new Error(`${String(value)} ${what}, at most ${most} are possible`);
  return value;
}
