import { ADMIN_DEFAULT, ADMIN_OPTION, readAdmin } from './admin.ts';
import { defineCommand, type Options, UsageError } from './command.ts';
import { readCount, readDuration } from './values.ts';

const USES_MAX = 1_000_000;
const LIFE_MS = 3_600_000;
const LIFE_MS_MAX = 366 * 24 * 3_600_000;

const OPTIONS = {
  uses: { type: 'string', value: 'N', description: 'How many proxies may join with it; default 1' },
  lasts: { type: 'string', value: 'TIME', description: 'How long it is good; default 1h' },
  admin: ADMIN_OPTION,
} as const satisfies Options;

export const token = defineCommand({
  name: 'token',
  summary: 'Make a token with which a proxy joins the mesh',
  usage: 'fourways token NAME.NAMESPACE [--uses N] [--lasts TIME] [--admin HOST:PORT] > FILE',
  details: [
    'It is for the identity of this service and no other; "*" in place of a name is any. It is printed once, and kept',
    'by the control plane as a hash only. It names the root of the mesh, so that the proxy knows whom it joins.',
  ].join('\n'),
  json: '`{ id, token, namespace, account, uses, lastsMs }`.',
  options: OPTIONS,

  async run({ values, positionals: [service, more] }, io) {
    if (service === undefined) throw new UsageError('Expected the name of a Service, such as orders.shop');
    if (more !== undefined) throw new UsageError(`Unexpected argument "${more}"`);
    const [account = '', namespace = 'default', rest] = service.split('.');
    if (account === '' || rest !== undefined)
      throw new UsageError(`"${service}" is no name of a Service: must be such as orders.shop`);
    const uses = values.uses === undefined ? 1 : readCount('--uses', values.uses, { min: 1, max: USES_MAX });
    const lastsMs = values.lasts === undefined ? LIFE_MS : readDuration('--lasts', values.lasts, LIFE_MS_MAX);
    const body = { namespace, account, uses, lastsMs };
    const made = (await readAdmin(io, values.admin ?? ADMIN_DEFAULT, { path: '/tokens', body })) as {
      readonly token: string;
    };
    io.out(values.json === true ? JSON.stringify({ ...made, ...body }) : made.token);
    return 0;
  },
});
