/** Paths of the admin API that are about what sidecars see of calls, for policies that allow just those. */
import type { ObservedCall } from '../../ir/observed.ts';
import type { Recording } from '../../control/recorder.ts';
import type { Content, Route } from './routes.ts';
import { NO_MESH } from './no-mesh.ts';
import type { RecorderView } from './view.ts';

const TYPES = ['application/json'] as const;

/** Of one recording. It costs each proxy a table, and so it ends by itself. */
const LASTS_MS_MAX = 31 * 24 * 3_600_000;
const LASTS_MS = 24 * 3_600_000;

/** What `/mesh/recording/calls` answers. */
export interface RecordedCalls extends Recording {
  readonly rows: readonly ObservedCall[];
}

export const RECORD_ROUTES: readonly Route[] = [
  route('/mesh/recording', 'What is recorded of calls between services: since when, of whom, how much', {
    answer: ({ recording }) => recording,
  }),
  route('/mesh/recording/calls', 'The same with every kind of call: who called what, how often', {
    answer: ({ recording, calls }): RecordedCalls => ({ ...recording, rows: calls }),
  }),
  route('/mesh/recording/start', 'Begins to record calls, unless it runs: { lastsMs? }', {
    method: 'POST',
    answer(recorder, { lastsMs = LASTS_MS }) {
      if (!Number.isInteger(lastsMs) || (lastsMs as number) < 1 || (lastsMs as number) > LASTS_MS_MAX) {
        return `Expected "lastsMs" from 1 to ${LASTS_MS_MAX}`;
      }
      const began = recorder.start(lastsMs as number);
      return { ...recorder.recording, began };
    },
  }),
  route('/mesh/recording/stop', 'Ends the recording; what was counted stays until the next one', {
    method: 'POST',
    answer(recorder) {
      recorder.stop();
      return recorder.recording;
    },
  }),
];

interface About {
  readonly method?: 'POST';
  /** @returns a text that says why it cannot be */
  readonly answer: (recorder: RecorderView, body: { readonly lastsMs?: unknown }) => object | string;
}

function route(path: string, summary: string, { method, answer }: About): Route {
  return {
    path,
    ...(method !== undefined && { method }),
    summary,
    types: TYPES,
    answer({ mesh }, { body }): Content {
      if (mesh === undefined) return NO_MESH;
      const said = answer(mesh.recorder, body);
      return typeof said === 'string' ? { status: 400, detail: said } : { status: 200, json: said };
    },
  };
}
