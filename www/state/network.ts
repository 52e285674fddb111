// Whether the host answers. The browser's own word for it, navigator.onLine, is about cables: it says
// yes where nothing answers, and no where a host on this machine does. The service worker sees what
// becomes of each request, and tells.

let answers = true;

/** Whether the last thing that was asked of the host was answered. */
export const hostAnswers = (): boolean => answers;

/** Emits `change`. */
export const network = new EventTarget();

/** Notes what became of a request. */
export function noteAnswer(answered: boolean): void {
  document.documentElement.dataset.online = answered ? "yes" : "no";
  if (answered === answers) return;
  answers = answered;
  network.dispatchEvent(new Event("change"));
}
