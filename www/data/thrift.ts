// Thrift's compact protocol, in which a Parquet file's footer and page headers are written. hyparquet makes
// room for as much as they say, and goes wherever they point; this walks them first.
//
// Format: <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>.

/** A small whole number, a truth value, a struct's fields by their number, or null for anything else. */
export type Value = number | boolean | Fields | null;
export type Fields = Map<number, Value>;

/** The deepest struct in a struct; a footer has six. */
const DEEPEST = 16;
/** Structs and values in one footer: some hundred columns in some hundred row groups have half of it. */
const MOST_PARTS = 2_000_000;

/** A struct from byte `start` on, and where it ends. Throws an Error in words where it is none. */
export function readStruct(bytes: Uint8Array, start = 0): { fields: Fields; end: number } {
  const walk = new Walk(bytes, start);
  return { fields: walk.struct(0), end: walk.at };
}

class Walk {
  #parts = 0;

  constructor(
    readonly bytes: Uint8Array,
    public at: number,
  ) {}

  struct(depth: number): Fields {
    if (depth > DEEPEST) throw new Error(`structs more than ${DEEPEST} deep`);
    const fields: Fields = new Map();
    for (let id = 0; ; ) {
      const head = this.#byte();
      const type = head & 15;
      if (type === 0) return fields;
      id = head >> 4 === 0 ? zigzag(this.#varint()) : id + (head >> 4);
      // a truth value has no bytes of its own here, in a list it has
      fields.set(id, type <= 2 ? type === 1 : this.#value(type, depth));
    }
  }

  #value(type: number, depth: number): Value {
    if (++this.#parts > MOST_PARTS) throw new Error(`more than ${MOST_PARTS.toLocaleString("en")} values`);
    switch (type) {
      case 1:
      case 2:
        this.#byte();
        return null;
      case 3:
        return (this.#byte() << 24) >> 24;
      case 4:
      case 5:
        return zigzag(this.#varint());
      case 6:
        this.#skipLong();
        return null;
      case 7:
        this.#skip(8);
        return null;
      case 8:
        this.#skip(this.#varint());
        return null;
      case 9:
        this.#list(depth);
        return null;
      case 12:
        return this.struct(depth + 1);
      default:
        throw new Error(`a value of type ${type}`);
    }
  }

  #list(depth: number): void {
    if (depth > DEEPEST) throw new Error(`lists more than ${DEEPEST} deep`);
    const head = this.#byte();
    const size = head >> 4 === 15 ? this.#varint() : head >> 4;
    // no element takes less than a byte
    if (size < 0 || size > this.bytes.length - this.at) throw new Error(`a list of ${size >>> 0} in ${this.bytes.length - this.at} bytes`);
    for (let i = 0; i < size; i++) this.#value(head & 15, depth + 1);
  }

  #byte(): number {
    const byte = this.bytes[this.at];
    if (byte === undefined) throw new Error("an early end");
    this.at += 1;
    return byte;
  }

  /** 32 bits, as hyparquet takes them: with their sign. */
  #varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#byte();
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
    throw new Error("a number without an end");
  }

  #skipLong(): void {
    for (let i = 0; i < 10; i++) if (this.#byte() < 128) return;
    throw new Error("a number without an end");
  }

  #skip(length: number): void {
    if (length < 0 || length > this.bytes.length - this.at) throw new Error(`${length >>> 0} bytes in ${this.bytes.length - this.at}`);
    this.at += length;
  }
}

function zigzag(value: number): number {
  return (value >>> 1) ^ -(value & 1);
}
