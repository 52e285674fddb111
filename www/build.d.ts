// Constants that the build puts in; see vite.config.ts.

declare const __VERSION__: string;
declare const __COMMIT__: string;
/** Names of the models in models/. */
declare const __KNOWN_MODELS__: string[];
