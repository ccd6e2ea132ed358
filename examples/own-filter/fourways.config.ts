import { defineConfig } from 'fourways/config';
import { defineFilter } from 'fourways/filter';
import { tenant } from './tenant.ts';

/** Inline: this file is imported once more where the filter runs, so it stands at the top level. */
const stamp = defineFilter({
  name: 'stamp',
  make: () => ({ onRequest: (x) => x.request.headers.set('x-stamp', `came by ${x.clientIp}`) }),
});

export default defineConfig({
  listen: 8080,
  services: { web: 'http://127.0.0.1:8081', tea: 'http://127.0.0.1:8082' },
  routes: [
    { match: '/', to: 'web', policies: [{ own: [stamp] }] },
    { match: '/tenants', to: 'tea', policies: ['tenants'] },
    { match: '/tea', to: 'tea', policies: ['tenants'] },
    // A file, by its name.
    { match: '/hazard', to: 'tea', policies: [{ own: { use: [{ module: './hazard.ts' }] } }] },
  ],
  policies: {
    tenants: { own: { use: [{ module: tenant, options: { tenants: ['green', 'blue'] } }] } },
  },
});
