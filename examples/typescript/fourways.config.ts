/** A configuration that is a program: names are checked while you write, and a loop is a loop. */
import { defineConfig } from 'fourways/config';
import { teams } from './teams.ts';

export default defineConfig({
  listen: '127.0.0.1:8080',

  services: {
    web: 'http://127.0.0.1:8081',
    tea: 'http://127.0.0.1:8082',
    coffee: { url: 'http://127.0.0.1:8083', connectTimeout: '1s' },
  },

  policies: {
    'no-cookies': { headers: { request: { remove: ['cookie'] } } },
  },

  routes: [
    { name: 'everything', to: 'web' },
    // One route for each team. `to: 'cofee'` would not compile.
    ...teams.map(({ name, service, beta }) => ({
      name,
      match: `/teams/${name}`,
      to: [
        { to: service, weight: 100 - beta },
        { to: 'web' as const, weight: beta },
      ],
      rewrite: '/',
      policies: ['no-cookies' as const],
    })),
    { name: 'version', match: 'GET /version', respond: { body: '{"version":1}\n', type: 'application/json' } },
  ],
});
