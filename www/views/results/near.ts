// Work that is put off until its place is nearly on the screen.

/** How far below the window counts as near. */
const MARGIN = "600px";

/** Calls `near` when an element comes near the window. Gives a function that asks again, of one that may be there
 *  already. */
export function whenNear(element: Element, near: () => void | Promise<void>): () => void {
  const observer = new IntersectionObserver(
    (entries) => {
      if (entries.some(({ isIntersecting }) => isIntersecting)) void near();
    },
    { rootMargin: MARGIN },
  );
  const again = () => {
    observer.unobserve(element);
    // an element that is observed anew is always told of
    observer.observe(element);
  };
  again();
  return again;
}
