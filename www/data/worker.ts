// The data worker: the page has a run's files parsed here, so that it stays responsive.

import { asEngineError } from "../engine/failure";
import type { Ended } from "../engine/rpc";
import { answer, type DataRequest } from "./answer";

/** The worker's scope, without pulling the worker's library into the page's types. */
const scope = self as unknown as {
  onmessage: (event: MessageEvent<DataRequest & { id: number }>) => void;
  postMessage(message: Ended, transfer?: Transferable[]): void;
};

scope.onmessage = ({ data }) => {
  answer(data).then(
    ({ result, transfer }) => scope.postMessage({ id: data.id, type: "done", result }, transfer),
    (reason: unknown) => scope.postMessage({ id: data.id, type: "error", error: asEngineError(reason, "malformed") }),
  );
};
