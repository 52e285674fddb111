// The cloud in 3-D. Loaded when it is first asked for. Frames are drawn on change only: nothing runs
// while nothing moves or the view is hidden.

import {
  AmbientLight,
  BufferGeometry,
  Color,
  DirectionalLight,
  InstancedMesh,
  LineBasicMaterial,
  LineSegments,
  Mesh,
  MeshBasicMaterial,
  MeshLambertMaterial,
  Matrix4,
  PerspectiveCamera,
  Scene,
  SphereGeometry,
  Spherical,
  Vector3,
  WebGLRenderer,
  WireframeGeometry,
} from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
import { h } from "../../ui/dom";
import type { CloudDrawing, CloudScene } from "./scene";

const TURN = Math.PI / 24;

/** Draws it; fails with a reason where there is no WebGL. `pointed` hears the point under the pointer, −1 for none. */
export async function solidCloud(cloud: CloudScene, label: string, pointed: (index: number) => void): Promise<CloudDrawing> {
  if (document.createElement("canvas").getContext("webgl2") === null) throw new Error("no WebGL");
  const renderer = new WebGLRenderer({ antialias: true });
  const canvas = renderer.domElement;
  canvas.setAttribute("aria-hidden", "true");
  const host = h("div", { class: "cloud-solid", tabindex: 0, role: "img", "aria-label": `${label}. Arrow keys turn it, plus and minus zoom, Home resets.`, "data-test": "cloud-3d" }, canvas);
  const model = new Model(cloud);
  const camera = new PerspectiveCamera(40, 1, 0.05, 20);
  const home = new Vector3(1.7, 1.2, 2.3);
  camera.position.copy(home);
  const controls = new OrbitControls(camera, canvas);
  controls.enablePan = false;
  controls.minDistance = 1;
  controls.maxDistance = 8;
  // A finger that scrolls the page past the plot should not be caught by a wheel-like zoom.
  controls.enableZoom = true;

  // Shaders are compiled beside the page, where the driver can, not in its first frame.
  if (renderer.extensions.has("KHR_parallel_shader_compile")) await renderer.compileAsync(model.scene, camera);
  let framed = false;
  let visible = true;
  let waiting = false;
  const render = (): void => {
    if (waiting || !visible || document.hidden) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      renderer.render(model.scene, camera);
    });
  };
  controls.addEventListener("change", render);
  const moved = (): void => {
    controls.update();
    render();
  };
  turnByKeys(host, camera, home, moved);
  pointAt(canvas, cloud, model, camera, pointed);
  canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
  canvas.addEventListener("webglcontextrestored", render);

  const resize = new ResizeObserver(() => {
    const [width, height] = [host.clientWidth, host.clientHeight];
    if (width === 0 || height === 0) return;
    renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    renderer.setSize(width, height);
    camera.aspect = width / height;
    if (!framed) {
      // The angle of view is the vertical one: a narrow picture is taken from farther away.
      framed = true;
      home.multiplyScalar(Math.max(1, 1 / camera.aspect));
      camera.position.copy(home);
      controls.update();
    }
    camera.updateProjectionMatrix();
    render();
  });
  resize.observe(host);
  const seen = new IntersectionObserver((entries) => {
    visible = entries.at(-1)?.isIntersecting ?? true;
    render();
  });
  seen.observe(host);
  document.addEventListener("visibilitychange", render);

  return {
    element: host,
    destroy() {
      resize.disconnect();
      seen.disconnect();
      document.removeEventListener("visibilitychange", render);
      controls.dispose();
      model.dispose();
      renderer.dispose();
      renderer.forceContextLoss();
      host.remove();
    },
  };
}

/** What is looked at: points, ellipsoid, axes and light. One unit is the reach of the outermost point. */
class Model {
  readonly scene = new Scene();
  #cloud: CloudScene;
  #reach: number;
  #disposable: { dispose(): void }[] = [];

  constructor(cloud: CloudScene) {
    this.#cloud = cloud;
    let reach = Math.max(...cloud.semiAxes, 1e-9);
    for (const value of cloud.points) reach = Math.max(reach, Math.abs(value));
    this.#reach = reach;
    this.scene.background = new Color(cloud.colors.background);
    this.scene.add(new AmbientLight(0xffffff, 1.6));
    const light = new DirectionalLight(0xffffff, 1.8);
    light.position.set(2, 3, 4);
    this.scene.add(light);
    this.#addPoints();
    this.#addEllipsoid();
    this.#addAxes();
  }

  /** Where a point is. */
  at(i: number): Vector3 {
    const { points } = this.#cloud;
    return new Vector3(points[3 * i] ?? 0, points[3 * i + 1] ?? 0, points[3 * i + 2] ?? 0).divideScalar(this.#reach);
  }

  dispose(): void {
    for (const item of this.#disposable) item.dispose();
  }

  #keep<T extends { dispose(): void }>(item: T): T {
    this.#disposable.push(item);
    return item;
  }

  #addPoints(): void {
    const { features, colors } = this.#cloud;
    const ball = this.#keep(new SphereGeometry(1, 16, 12));
    const dots = this.#keep(new InstancedMesh(ball, this.#keep(new MeshLambertMaterial()), Math.max(1, features.length)));
    dots.count = features.length;
    const strongest = Math.max(...features.map((f) => f.activation), 1e-9);
    features.forEach((feature, i) => {
      const radius = 0.012 + 0.04 * Math.cbrt(feature.activation / strongest);
      dots.setMatrixAt(i, new Matrix4().makeScale(radius, radius, radius).setPosition(this.at(i)));
      dots.setColorAt(i, new Color(feature.own ? colors.own : colors.shared));
    });
    this.scene.add(dots);
  }

  #addEllipsoid(): void {
    const { semiAxes, colors } = this.#cloud;
    const round = this.#keep(new SphereGeometry(1, 32, 20));
    const hull = new Mesh(round, this.#keep(new MeshBasicMaterial({ color: colors.ellipsoid, transparent: true, opacity: 0.14, depthWrite: false })));
    const net = this.#keep(new WireframeGeometry(this.#keep(new SphereGeometry(1, 16, 8))));
    const mesh = new LineSegments(net, this.#keep(new LineBasicMaterial({ color: colors.ellipsoid, transparent: true, opacity: 0.35 })));
    // A flat cloud has an axis of no length; a scale of 0 cannot be inverted.
    const half = semiAxes.map((axis) => Math.max(axis / this.#reach, 1e-4)) as [number, number, number];
    hull.scale.set(...half);
    mesh.scale.set(...half);
    this.scene.add(hull, mesh);
  }

  #addAxes(): void {
    const ends = [0, 1, 2].flatMap((axis) => [-1, 1].map((end) => new Vector3().setComponent(axis, 1.1 * end)));
    const lines = this.#keep(new BufferGeometry().setFromPoints(ends));
    this.scene.add(new LineSegments(lines, this.#keep(new LineBasicMaterial({ color: this.#cloud.colors.line }))));
  }
}

/** Arrow keys turn, plus and minus zoom, Home goes back to `home`; `moved` hears of it. */
function turnByKeys(host: HTMLElement, camera: PerspectiveCamera, home: Vector3, moved: () => void): void {
  const turn = (around: number, up: number, nearer: number): void => {
    const place = new Spherical().setFromVector3(camera.position);
    place.theta += around;
    place.phi += up;
    place.radius = Math.min(8, Math.max(1, place.radius * nearer));
    place.makeSafe();
    camera.position.setFromSpherical(place);
    moved();
  };
  host.addEventListener("keydown", (event) => {
    switch (event.key) {
      case "ArrowLeft": turn(-TURN, 0, 1); break;
      case "ArrowRight": turn(TURN, 0, 1); break;
      case "ArrowUp": turn(0, -TURN, 1); break;
      case "ArrowDown": turn(0, TURN, 1); break;
      case "+": case "=": turn(0, 0, 0.9); break;
      case "-": turn(0, 0, 1.1); break;
      case "Home":
        camera.position.copy(home);
        moved();
        break;
      default: return;
    }
    event.preventDefault();
  });
}

/** Tells which point is under the pointer. */
function pointAt(canvas: HTMLElement, { features }: CloudScene, model: Model, camera: PerspectiveCamera, pointed: (index: number) => void): void {
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let [best, distance] = [-1, 14 * 14];
    features.forEach((_, i) => {
      const seen = model.at(i).project(camera);
      const d = ((seen.x + 1) * 0.5 * box.width - x) ** 2 + ((1 - seen.y) * 0.5 * box.height - y) ** 2;
      if (d < distance) [best, distance] = [i, d];
    });
    pointed(best);
  });
  canvas.addEventListener("pointerleave", () => pointed(-1));
}
