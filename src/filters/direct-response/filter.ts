import type { FilterCode, Reply } from '../../filter/filter.ts';
import type { DirectResponseConfig } from './config.ts';

/** RFC 9110 section 6.4.1 and 15.3.6: answers that never have a body. */
const WITHOUT_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

export const code: FilterCode<typeof DirectResponseConfig> = {
  make({ status, body, contentType, headers }) {
    const text = WITHOUT_BODY.has(status) ? '' : body;
    const fields = headers.map(({ name, value }) => [name, value] as const);
    const hasType = headers.some(({ name }) => name.toLowerCase() === 'content-type');
    const reply: Reply = {
      kind: 'reply',
      status,
      reason: 'direct-response',
      headers: text === '' || hasType ? fields : [['content-type', contentType], ...fields],
      body: text,
    };
    return { onRequest: () => reply };
  },
};
