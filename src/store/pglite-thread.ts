/**
 * The thread that PGlite runs in: PostgreSQL as WebAssembly takes half a second of
 * computing to start and 200 MB to run. Here it holds nobody up, and what it took is
 * given back when the thread ends.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { ThreadAnswer, ThreadQuestion } from './pglite.ts';
import { openFromTemplate } from './pglite-template.ts';

if (parentPort === null) throw new Error('Cannot start: this is a thread of store/pglite.ts');
const port = parentPort;
const { dir } = workerData as { readonly dir: string };
const opened = openFromTemplate(dir);

port.on('message', (question: ThreadQuestion) => void answer(question));

/** Messages are answered in the order in which they came: PGlite is one session and takes them in turn. */
async function answer({ id, sql, values }: ThreadQuestion): Promise<void> {
  let said: ThreadAnswer;
  try {
    const database = await opened;
    if (sql === undefined) {
      await database.close();
      said = { id, rows: [] };
    } else {
      said = { id, rows: (await database.query<ThreadAnswer['rows'][number]>(sql, [...(values ?? [])])).rows };
    }
  } catch (error) {
    said = { id, rows: [], error: error instanceof Error ? error.message : String(error) };
  }
  port.postMessage(said);
}
