import { type FSWatcher, watch } from 'node:fs';
import { join } from 'node:path';
import { systemReason } from './file-problem.ts';

export interface FolderWatchEvents {
  /** Something happened to this path: written, made, removed, or renamed either way. */
  touched(path: string): void;
  /** A folder cannot be watched (a limit of the system, mostly); its changes are found by looking again. */
  refused(folder: string, reason: string): void;
}

/** Asks the system to speak up when an entry of a folder changes. One watch for each folder; links are followed. */
export class FolderWatch {
  readonly #events: FolderWatchEvents;
  readonly #watches = new Map<string, { readonly id: string; readonly watcher: FSWatcher | undefined }>();

  constructor(events: FolderWatchEvents) {
    this.#events = events;
  }

  /**
   * Watches exactly these folders.
   *
   * @param folders  path to identity; under the same path, another identity is another folder and gets a new watch
   * @returns how many watches are new: what happened in those folders before now went unseen
   */
  follow(folders: ReadonlyMap<string, string>): number {
    for (const [folder, { id, watcher }] of this.#watches) {
      if (folders.get(folder) === id) continue;
      watcher?.close();
      this.#watches.delete(folder);
    }
    let added = 0;
    for (const [folder, id] of folders) {
      if (this.#watches.has(folder)) continue;
      const watcher = this.#start(folder);
      // Kept even when refused: it is said once and not tried again twice a second.
      this.#watches.set(folder, { id, watcher });
      if (watcher !== undefined) added++;
    }
    return added;
  }

  close(): void {
    for (const { watcher } of this.#watches.values()) watcher?.close();
    this.#watches.clear();
  }

  #start(folder: string): FSWatcher | undefined {
    try {
      const watcher = watch(folder, { persistent: false });
      watcher.on('change', (_kind, name) => this.#events.touched(name === null ? folder : join(folder, String(name))));
      watcher.on('error', (error) => {
        watcher.close();
        this.#events.refused(folder, systemReason(error));
      });
      return watcher;
    } catch (error) {
      this.#events.refused(folder, systemReason(error));
      return undefined;
    }
  }
}
