import { defineFilter } from 'fourways/filter';

/** What can go wrong: by the last segment of the path. */
export const hazard = defineFilter({
  name: 'hazard',
  timeoutMs: 200,
  make: () => ({
    async onRequest(x) {
      const what = x.request.path.split('/').at(-1);
      if (what === 'throw') throw new RangeError(`about ${x.request.headers.get('cookie')}`);
      if (what === 'hang') for (;;);
      if (what === 'wait') await new Promise(() => undefined);
      if (what === 'exit') process.exit(1);
    },
  }),
});
