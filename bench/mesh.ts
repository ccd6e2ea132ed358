/** A mesh of real processes for a bench: a control plane, and sidecars that have joined it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DOOR_HOST, type Entry, Fourways, freePort } from '../test/client/fourways.ts';
import { Sidecar, type SidecarOptions, tokenFor } from '../test/client/sidecar.ts';

export interface BenchMeshOptions {
  readonly dir: string;
  readonly entry: Entry;
  /** Core of the control plane. */
  readonly core: number;
  /** YAML. */
  readonly manifests: string;
}

export const MESH = `
apiVersion: fourways.io/v1alpha1
kind: Mesh
metadata: { name: mesh }
`;

/** @param port  name of its port, which says what it speaks */
export function serviceManifest(name: string, port = 'http'): string {
  return `---
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec: { ports: [{ name: ${port}, port: 80 }] }
`;
}

/** With which so many join, as any service of the namespace `shop`. */
export async function fleetToken({ admin }: Fourways, uses: number): Promise<string> {
  const answer = await fetch(`${admin}/tokens`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ namespace: 'shop', account: '*', uses, lastsMs: 600_000 }),
  });
  if (!answer.ok) throw new Error(`No token: ${await answer.text()}`);
  return ((await answer.json()) as { token: string }).token;
}

export class BenchMesh implements AsyncDisposable {
  readonly control: Fourways;
  /** `HOST:PORT` at which proxies join. */
  readonly address: string;
  readonly #options: BenchMeshOptions;
  readonly #sidecars: Sidecar[] = [];

  private constructor(control: Fourways, address: string, options: BenchMeshOptions) {
    this.control = control;
    this.address = address;
    this.#options = options;
  }

  static async start(options: BenchMeshOptions): Promise<BenchMesh> {
    const { dir, entry, core, manifests } = options;
    mkdirSync(dir, { recursive: true });
    const config = join(dir, 'mesh.yaml');
    writeFileSync(config, manifests);
    const address = `${DOOR_HOST}:${await freePort(DOOR_HOST)}`;
    const data = join(dir, 'control');
    const control = await Fourways.start({ command: 'control', config, mesh: address, data, entry, core });
    return new BenchMesh(control, address, options);
  }

  /** As shipped, on this core. */
  async sidecar(
    core: number,
    options: Omit<SidecarOptions, 'dir' | 'control' | 'token' | 'entry' | 'within'>,
  ): Promise<Sidecar> {
    const { dir, entry } = this.#options;
    const sidecar = await Sidecar.start({
      ...options,
      dir,
      entry,
      control: this.address,
      token: await tokenFor(this.control, options.service),
      within: ['taskset', '-c', String(core)],
    });
    this.#sidecars.push(sidecar);
    return sidecar;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const sidecar of this.#sidecars.toReversed()) await sidecar.stop('SIGKILL');
    await this.control.stop('SIGKILL');
  }
}
