// Columns of a Parquet file as the page holds them: numbers with NaN for null, texts with "".

/** What a column holds. Whole numbers and truth values are numbers too, told apart for display. */
export type Kind = "int" | "float" | "text" | "bool";

export interface NumberColumn {
  name: string;
  kind: "int" | "float" | "bool";
  values: Float64Array;
}

export interface TextColumn {
  name: string;
  kind: "text";
  values: string[];
}

export type Column = NumberColumn | TextColumn;

/** What the data worker sends. */
export interface TableData {
  rows: number;
  columns: Column[];
  /** The writer's `saescope.schema_version`, where the file carries it. */
  schemaVersion: number | null;
}

/** A table of columns by name, in file order. */
export class Table {
  readonly rows: number;
  readonly columns: readonly Column[];
  readonly schemaVersion: number | null;
  readonly #byName: Map<string, Column>;

  constructor(data: TableData) {
    this.rows = data.rows;
    this.columns = data.columns;
    this.schemaVersion = data.schemaVersion;
    this.#byName = new Map(data.columns.map((column) => [column.name, column]));
  }

  column(name: string): Column | null {
    return this.#byName.get(name) ?? null;
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** The numbers of a column; null where there is no such column or it holds texts. */
  numbers(name: string): Float64Array | null {
    const column = this.#byName.get(name);
    return column !== undefined && column.kind !== "text" ? column.values : null;
  }

  /** The texts of a column; null where there is no such column or it holds numbers. */
  texts(name: string): string[] | null {
    const column = this.#byName.get(name);
    return column !== undefined && column.kind === "text" ? column.values : null;
  }

  /** One number; NaN where there is none. */
  number(name: string, row: number): number {
    return this.numbers(name)?.[row] ?? NaN;
  }

  /** One text; empty where there is none. */
  text(name: string, row: number): string {
    return this.texts(name)?.[row] ?? "";
  }
}
