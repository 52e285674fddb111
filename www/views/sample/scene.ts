// A cloud as it is drawn, flat or in 3-D.

/** What both ways of drawing need. */
export interface CloudScene {
  points: Float32Array;
  semiAxes: [number, number, number];
  /** Per point: its feature, activation, and whether only this completion has it. */
  features: { feature: number; activation: number; own: boolean }[];
  colors: { own: string; shared: string; ellipsoid: string; line: string; background: string; ink: string };
}

/** A drawn cloud. */
export interface CloudDrawing {
  element: HTMLElement | SVGElement;
  destroy(): void;
}
