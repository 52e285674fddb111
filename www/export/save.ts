// Handing a file to the user.

/** Of a file's name: its end tells what it is. */
const MOST_LETTERS = 100;

/** Lets the browser save a blob under a name. */
export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name.replace(/[^\p{L}\p{N}._-]+/gu, "_").slice(-MOST_LETTERS);
  document.body.append(link);
  link.click();
  link.remove();
  // The download has its own hold of the blob after the click was dispatched.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
