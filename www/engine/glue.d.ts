// The glue that wasm-bindgen writes for crate/web/. The build tool names its folder in SAESCOPE_PKG;
// this declaration lets the types be checked without it.

declare module "#engine-wasm?url" {
  const url: string;
  export default url;
}

declare module "#fma" {
  /** base64 */
  const bytes: string;
  export default bytes;
}

declare module "#engine" {
  export default function init(options: {
    module_or_path: string | URL | Response | Promise<Response> | WebAssembly.Module;
  }): Promise<unknown>;

  export class Engine {
    constructor(emit: (message: import("./protocol").FromWorker, transfer: Transferable[]) => void, base: string);
    request(message: unknown): void;
  }
}
