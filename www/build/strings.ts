// No script of the page makes code from a string. The content security policy refuses it in the
// browser; the build refuses it before. What is looked at is every script as it is shipped, libraries
// and the engine's glue among them.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseAst, type Plugin } from "vite";
import { afterBuild } from "./after.ts";

/** What a library holds and never runs; an entry that fits nothing fails the build too. */
export interface Allowed {
  /** Of the file's name. */
  file: RegExp;
  /** The code as it is in the built script. */
  code: string;
  /** Why it never runs. */
  why: string;
}

export const ALLOWED: readonly Allowed[] = [];

const TIMERS = new Set(["setTimeout", "setInterval", "setImmediate", "execScript"]);
const GLOBALS = new Set(["globalThis", "self", "window", "global", "top", "parent", "frames"]);

interface Node {
  type: string;
  start: number;
  end: number;
  [field: string]: unknown;
}

const isNode = (value: unknown): value is Node => typeof (value as Node | null)?.type === "string";

/** The name that an expression reads: of a variable, or of a field of the global object. */
function nameOf(node: Node): string | null {
  if (node.type === "Identifier") return node.name as string;
  if (node.type === "ParenthesizedExpression" || node.type === "ChainExpression") return nameOf(node.expression as Node);
  if (node.type === "SequenceExpression") return nameOf((node.expressions as Node[]).at(-1)!);
  if (node.type !== "MemberExpression") return null;
  const object = node.object as Node;
  return object.type === "Identifier" && GLOBALS.has(object.name as string) ? fieldOf(node) : null;
}

/** The field that a member expression reads. */
function fieldOf(node: Node): string | null {
  const property = node.property as Node;
  if (!node.computed) return property.name as string;
  return property.type === "Literal" && typeof property.value === "string" ? property.value : null;
}

/** Whether an expression is a string for certain. */
function isText(node: Node | undefined): boolean {
  if (!node) return false;
  if (node.type === "Literal") return typeof node.value === "string";
  if (node.type === "TemplateLiteral") return true;
  return node.type === "BinaryExpression" && node.operator === "+" && (isText(node.left as Node) || isText(node.right as Node));
}

function makesCode(node: Node, parent: Node | null): boolean {
  if (node.type === "CallExpression" || node.type === "NewExpression") {
    const callee = node.callee as Node;
    const [first] = node.arguments as Node[];
    const name = nameOf(callee);
    if (name !== null && TIMERS.has(name)) return isText(first);
    // (() => 0).constructor("…")
    return callee.type === "MemberExpression" && fieldOf(callee) === "constructor" && isText(first);
  }
  if (node.type === "ImportExpression") {
    const { source } = node as unknown as { source: Node };
    return source.type === "Literal" && /^(data|blob|javascript):/.test(String(source.value));
  }
  const name = nameOf(node);
  if (name !== "eval" && name !== "Function") return false;
  if (node.type !== "Identifier") return node.type === "MemberExpression";
  // the name of a field, `x instanceof Function` and `Function.prototype` make nothing
  if (parent?.type === "MemberExpression") {
    if (parent.property === node && !parent.computed) return false;
    return name === "eval" || fieldOf(parent) !== "prototype";
  }
  if (parent?.type === "Property" || parent?.type === "MethodDefinition" || parent?.type === "PropertyDefinition") {
    if (parent.key === node && !parent.computed && !parent.shorthand) return false;
  }
  return !(parent?.type === "BinaryExpression" && parent.operator === "instanceof");
}

/** Where a script makes code from a string. */
export function codeFromStrings(script: string): string[] {
  const found: string[] = [];
  const visit = (node: Node, parent: Node | null) => {
    if (makesCode(node, parent)) {
      const call = /^(Call|New)Expression$/;
      const whole = !call.test(node.type) && parent && call.test(parent.type) ? parent : node;
      found.push(script.slice(whole.start, whole.end));
    }
    for (const value of Object.values(node)) {
      for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) visit(child, node);
    }
  };
  visit(parseAst(script) as unknown as Node, null);
  return found;
}

/** What is wrong with these scripts: name → code. */
export function faults(scripts: Map<string, string>, allowed: readonly Allowed[] = ALLOWED): string[] {
  const used = new Set<Allowed>();
  const wrong: string[] = [];
  for (const [name, script] of scripts) {
    for (const code of codeFromStrings(script)) {
      const entry = allowed.find((one) => one.file.test(name) && one.code === code);
      if (entry) used.add(entry);
      else wrong.push(`${name}: code from a string: ${code.slice(0, 200)}`);
    }
  }
  for (const entry of allowed) if (!used.has(entry)) wrong.push(`allowed, but not there: ${entry.code}`);
  return wrong;
}

/** Fails the build when a script makes code from a string. */
export function noCodeFromStrings(folder: string): Plugin {
  return afterBuild("saescope-no-code-from-strings", async () => {
    const names = (await readdir(folder, { recursive: true })).filter((name) => /\.m?js$/.test(name));
    const scripts = new Map<string, string>();
    for (const name of names) scripts.set(name, await readFile(join(folder, name), "utf8"));
    const wrong = faults(scripts);
    if (wrong.length) throw new Error(wrong.join("\n"));
  });
}
