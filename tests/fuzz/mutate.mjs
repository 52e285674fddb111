// Damage to Parquet and JSON, the same for the same numbers.

/** Random numbers of a seed and a case. */
export class Random {
  #state;

  constructor(seed, index) {
    this.#state = (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(index + 1, 0xc2b2ae35)) >>> 0;
    for (let i = 0; i < 4; i++) this.next();
  }

  /** 32 bits (mulberry32). */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  below(n) {
    return n > 0 ? this.next() % n : 0;
  }

  of(list) {
    return list[this.below(list.length)];
  }
}

/** Numbers at the borders of what a format and its readers can hold. */
const NUMBERS = [0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 1000, 4096, 65535, 65536, 1e6, 2 ** 24, 2 ** 27, 2 ** 30, 2 ** 31 - 2, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];

const varint = (value) => {
  const bytes = [];
  for (let rest = BigInt(value); ; ) {
    const byte = Number(rest & 127n);
    rest >>= 7n;
    bytes.push(rest ? byte | 128 : byte);
    if (!rest) return bytes;
  }
};

/** Where the numbers of a Thrift struct are: [start, end) of each varint, and of each list's head. */
function numbersIn(bytes, start) {
  if (start < 0) throw new Error("before the file");
  const found = [];
  let at = start;
  const read = () => {
    const from = at;
    while (bytes[at++] >= 128) if (at > from + 10) throw new Error("no varint");
    if (at > bytes.length) throw new Error("early end");
    found.push([from, at]);
    let value = 0;
    for (let i = from; i < at; i++) value += (bytes[i] & 127) * 2 ** (7 * (i - from));
    return value;
  };
  const value = (type) => {
    if (at >= bytes.length) throw new Error("early end");
    if (type === 3) at += 1;
    else if (type >= 4 && type <= 6) read();
    else if (type === 7) at += 8;
    else if (type === 8) at += read();
    else if (type === 12) struct();
    else if (type === 9) {
      const head = bytes[at];
      found.push([at, at + 1]);
      at += 1;
      const size = head >> 4 === 15 ? read() : head >> 4;
      if (size > bytes.length - at) throw new Error("no list");
      for (let i = 0; i < size; i++) (head & 15) <= 2 ? (at += 1) : value(head & 15);
    }
  };
  const struct = () => {
    while (at < bytes.length) {
      const head = bytes[at++];
      if (head === 0) return;
      if (head >> 4 === 0) read();
      if ((head & 15) > 2) value(head & 15);
    }
  };
  struct();
  return { found, end: at };
}

function spliced(bytes, from, to, put) {
  const out = new Uint8Array(bytes.length - (to - from) + put.length);
  out.set(bytes.subarray(0, from));
  out.set(put, from);
  out.set(bytes.subarray(to), from + put.length);
  return out;
}

/** Another number in the place of one, as long as it was or not. */
function otherNumber(random, bytes, [from, to]) {
  let put = varint(random.below(3) ? random.of(NUMBERS) : random.next());
  if (random.below(8) === 0) put = Array.from({ length: 1 + random.below(12) }, () => 255);
  if (put.length < to - from) {
    // as long as before: a number may have empty bytes at its end
    put = [...put.slice(0, -1), put.at(-1) | 128, ...Array(to - from - put.length - 1).fill(128), 0];
  }
  return random.below(2) ? spliced(bytes, from, to, put.slice(0, to - from)) : spliced(bytes, from, to, put);
}

const footerLength = (bytes) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(bytes.length - 8, true);

function withFooterLength(bytes, length) {
  const out = bytes.slice();
  new DataView(out.buffer).setUint32(out.length - 8, length >>> 0, true);
  return out;
}

const WAYS = {
  bytes(random, bytes) {
    const out = bytes.slice();
    for (let n = 1 + random.below(6); n > 0; n--) out[random.below(out.length)] = random.below(3) ? random.next() : random.of([0, 1, 127, 128, 255]);
    return out;
  },
  bits(random, bytes) {
    const out = bytes.slice();
    out[random.below(out.length)] ^= 1 << random.below(8);
    return out;
  },
  footerLength: (random, bytes) => withFooterLength(bytes, random.below(2) ? random.of(NUMBERS) : footerLength(bytes) + random.below(17) - 8),
  footer(random, bytes) {
    const start = bytes.length - 8 - footerLength(bytes);
    const out = otherNumber(random, bytes, random.of(numbersIn(bytes.subarray(0, bytes.length - 8), start).found));
    return withFooterLength(out, out.length - 8 - start);
  },
  footerBytes(random, bytes) {
    const [out, length] = [bytes.slice(), footerLength(bytes)];
    for (let n = 1 + random.below(3); n > 0; n--) out[out.length - 8 - length + random.below(length)] = random.next();
    return out;
  },
  header(random, bytes, pages) {
    if (pages.length === 0) return WAYS.bytes(random, bytes);
    return otherNumber(random, bytes, random.of(numbersIn(bytes, random.of(pages)).found));
  },
  page(random, bytes, pages) {
    if (pages.length === 0) return WAYS.bytes(random, bytes);
    // levels and runs are at the beginning
    const [out, { end }] = [bytes.slice(), numbersIn(bytes, random.of(pages))];
    for (let n = 1 + random.below(3); n > 0; n--) out[Math.min(out.length - 1, end + random.below(24))] = random.below(2) ? random.next() : random.of([0, 1, 2, 3, 254, 255]);
    return out;
  },
  cut: (random, bytes) => bytes.slice(0, random.below(bytes.length)),
  cutInside(random, bytes) {
    const from = random.below(bytes.length);
    return spliced(bytes, from, Math.min(bytes.length, from + 1 + random.below(64)), []);
  },
  copied(random, bytes) {
    const [from, to, size] = [random.below(bytes.length), random.below(bytes.length), 1 + random.below(256)];
    const out = bytes.slice();
    out.set(bytes.subarray(from, Math.min(from + size, bytes.length, from + bytes.length - to)), to);
    return out;
  },
};

/** A Parquet file with some damage. `pages` are the places of its pages. */
export function damagedParquet(random, bytes, pages) {
  let out = bytes;
  for (let n = 1 + random.below(3); n > 0; n--) {
    try {
      out = WAYS[random.of(Object.keys(WAYS))](random, out, pages);
    } catch {
      // what an earlier damage left cannot be walked
    }
  }
  return out;
}

const VALUES = [null, true, false, 0, -1, 0.5, 1e308, 2 ** 53, "", "x", "<script>1</script>", "\u202e\u0000", [], {}, [[]], { a: 1 }, "long"];

/** JSON with some damage: values of another form, missing and repeated ones; now and then as text. */
export function damagedJson(random, source) {
  const value = JSON.parse(source);
  for (let n = 1 + random.below(4); n > 0; n--) {
    let at = value;
    for (let depth = random.below(6); depth >= 0; depth--) {
      const keys = Object.keys(at);
      if (keys.length === 0) break;
      const key = random.of(keys);
      if (depth > 0 && typeof at[key] === "object" && at[key] !== null) {
        at = at[key];
        continue;
      }
      const put = random.of(VALUES);
      if (random.below(5) === 0) delete at[key];
      else at[key] = put === "long" ? "long ".repeat(50_000) : structuredClone(put);
      break;
    }
  }
  const text = JSON.stringify(value);
  if (random.below(4)) return text;
  const from = random.below(text.length);
  return random.below(2) ? text.slice(0, from) : text.slice(0, from) + String.fromCharCode(random.below(300)) + text.slice(from + 1);
}
