import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** A folder of its own under the system's temporary folder, removed by `using`. */
export class TempFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'fourways-source-'));

  in(name: string): string {
    return join(this.path, name);
  }

  /** In place, as `cat > file` does; folders on the way are made. */
  write(name: string, text: string | Uint8Array): string {
    mkdirSync(dirname(this.in(name)), { recursive: true });
    writeFileSync(this.in(name), text);
    return this.in(name);
  }

  /** Atomically, as editors and Kubernetes tools do. */
  replace(name: string, text: string): void {
    const draft = this.write(`${name}.draft`, text);
    renameSync(draft, this.in(name));
  }

  remove(name: string): void {
    rmSync(this.in(name), { recursive: true, force: true });
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
