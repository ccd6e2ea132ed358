import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readKeys } from '../filters/api-key/key-file.ts';
import type { Found } from '../filters/api-key/key-table.ts';
import { keyKind, sha256Of } from '../filters/api-key/record.ts';
import { readUsers } from '../filters/basic/users.ts';
import { runWhole } from '../filter/shared-file.ts';
import { runCommand } from './main.ts';
import { fakeIo } from './testing/fake-io.ts';

const scratch = mkdtempSync(join(tmpdir(), 'fourways-keys-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function keys(cwd: string, words: string, input = ''): Promise<Ran> {
  const io = fakeIo({ cwd, input });
  const code = await runCommand(['keys', ...words.split(' ')], io);
  return { code, out: io.outLines.join('\n'), err: io.errLines.join('\n') };
}

async function json(cwd: string, words: string, input = ''): Promise<Record<string, unknown>> {
  const { code, out, err } = await keys(cwd, `${words} --json`, input);
  assert.equal(code, 0, err + out);
  return JSON.parse(out) as Record<string, unknown>;
}

const folder = (): string => mkdtempSync(join(scratch, 'f-'));
const find = (path: string, key: string): Found | undefined => runWhole(readKeys(readFileSync(path))).find(key);
const mode = (path: string): number => statSync(path).mode & 0o777;

const FOREIGN = 'sk_0123456789abcdefghijklmnop';

test('keys create: the key is printed once, alone, and its hash kept for the filter', async () => {
  const cwd = folder();
  const terms = '--group gold --group eu --label team=a=b --expires 90d --not-before 2020-01-31';
  const { code, out, err } = await keys(cwd, `create --consumer acme ${terms} k.jsonl`);
  assert.equal(code, 0, err);
  assert.equal(keyKind(out), 'valid');
  assert.match(err, /^Key [0-9a-f]{16} of acme, until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ, in k\.jsonl/);
  const path = join(cwd, 'k.jsonl');
  const text = readFileSync(path, 'utf8');
  assert.ok(!text.includes(out.slice(3)) && text.includes(sha256Of(out)));
  assert.equal(mode(path), 0o600);
  const found = find(path, out)!;
  assert.deepEqual(found.identity.consumer, { name: 'acme', groups: ['gold', 'eu'], labels: { team: 'a=b' } });
  assert.equal(found.notBeforeMs, Date.UTC(2020, 0, 31));
  assert.ok(Math.abs(found.expiresMs - Date.now() - 90 * 86_400_000) < 60_000);
  assert.deepEqual(readdirSync(cwd), ['k.jsonl']);
});

test('keys: created, listed, revoked, removed; others stay as they are', async () => {
  const cwd = folder();
  const path = join(cwd, 'k.jsonl');
  const first = await json(cwd, 'create --consumer a k.jsonl');
  writeFileSync(path, readFileSync(path, 'utf8').trimEnd());
  const second = await json(cwd, 'create --consumer b --prefix shop_live k.jsonl');
  assert.match(second['key'] as string, /^shop_live_/);
  const [lineOfFirst] = readFileSync(path, 'utf8').split('\n');

  const list = await keys(cwd, 'list k.jsonl');
  assert.match(list.out, /^ID +CONSUMER +GROUPS +STATE +FROM +UNTIL +LABELS\n/);
  assert.ok(!list.out.includes(first['key'] as string) && !list.out.includes(sha256Of(first['key'] as string)));
  assert.deepEqual(await json(cwd, 'list --consumer b k.jsonl'), {
    keys: [{ id: second['id'], consumer: 'b', groups: [], labels: {}, state: 'valid' }],
  });

  assert.equal((await keys(cwd, `revoke ${second['id'] as string} k.jsonl`)).code, 0);
  assert.equal(find(path, second['key'] as string)!.disabled, true);
  assert.equal(find(path, first['key'] as string)!.disabled, false);
  const { keys: listed } = (await json(cwd, 'list k.jsonl')) as { keys: { state: string }[] };
  assert.deepEqual(
    listed.map(({ state }) => state),
    ['valid', 'disabled'],
  );

  assert.deepEqual(await json(cwd, `revoke ${second['id'] as string} --remove k.jsonl`), {
    id: second['id'],
    file: path,
    removed: true,
  });
  assert.equal(readFileSync(path, 'utf8'), `${lineOfFirst}\n`);
  const { code, err } = await keys(cwd, `revoke ${second['id'] as string} k.jsonl`);
  assert.equal(code, 1);
  assert.match(err, /^Cannot revoke [0-9a-f]{16}: not in k\.jsonl\. "fourways keys list k\.jsonl" shows/);
});

test('keys import: keys of others, each with its consumer', async () => {
  const cwd = folder();
  const other = FOREIGN.replace('0', '9');
  const { imported } = (await json(cwd, 'import --consumer a --group g k.jsonl', `${FOREIGN}\r\n\n ${other}  b\n`)) as {
    imported: { consumer: string }[];
  };
  assert.deepEqual(
    imported.map(({ consumer }) => consumer),
    ['a', 'b'],
  );
  assert.equal(find(join(cwd, 'k.jsonl'), other)!.identity.consumer!.name, 'b');
  const verified = await json(cwd, 'verify --stdin k.jsonl', `${FOREIGN}\n`);
  assert.deepEqual(verified, {
    lines: 2,
    problems: [],
    key: { kind: 'foreign', id: (imported[0] as { id?: string }).id, consumer: 'a', state: 'valid' },
  });
});

const IMPORTS: [rule: string, input: string, want: RegExp][] = [
  ['a short key', 'letmein a', /^Standard input, line 1: Expected a key of 22 to 256 letters/],
  ['other letters', `${FOREIGN},x a`, /^Standard input, line 1: Expected a key/],
  ['no consumer', FOREIGN, /^Standard input, line 1: Whose key is it\?/],
  ['too many words', `${FOREIGN} a b`, /^Standard input, line 1: Expected KEY CONSUMER and nothing more$/],
  ['one key twice', `${FOREIGN} a\n${FOREIGN} b`, /^Cannot import: standard input holds one key twice$/],
  ['nothing', '\n', /^Cannot import: standard input holds no key$/],
];

for (const [rule, input, want] of IMPORTS) {
  test(`keys import: ${rule} is refused, not shown, and nothing is written`, async () => {
    const cwd = folder();
    const { code, err, out } = await keys(cwd, 'import k.jsonl', input);
    assert.equal(code, 1);
    assert.match(err, want);
    assert.ok(!`${err}${out}`.includes(FOREIGN) && !err.includes('letmein'));
    assert.deepEqual(readdirSync(cwd), []);
  });
}

test('keys import: a key that is there is refused, and the file stays', async () => {
  const cwd = folder();
  await json(cwd, 'import --consumer a k.jsonl', FOREIGN);
  const before = readFileSync(join(cwd, 'k.jsonl'));
  const { code, err } = await keys(cwd, 'import --consumer b k.jsonl', FOREIGN);
  assert.equal(code, 1);
  assert.match(err, /^Cannot import: k\.jsonl has one of these keys already$/);
  assert.deepEqual(readFileSync(join(cwd, 'k.jsonl')), before);
});

test('keys verify: every wrong line is named; whose a key is', async () => {
  const cwd = folder();
  const path = join(cwd, 'k.jsonl');
  const { key, id } = await json(cwd, 'create --consumer a k.jsonl');
  assert.deepEqual(await keys(cwd, 'verify k.jsonl'), {
    code: 0,
    out: 'k.jsonl: 1 keys, every line is right',
    err: '',
  });
  const { code, out } = await keys(cwd, 'verify --stdin k.jsonl', key as string);
  assert.deepEqual([code, out.split('\n').at(-1)], [0, `Key ${id as string} of a: valid`]);
  const wrong = await keys(cwd, 'verify --stdin k.jsonl', `${(key as string).slice(0, -1)}!`);
  assert.deepEqual([wrong.code, wrong.out.split('\n').at(-1)], [1, 'Key is not in k.jsonl; it is not of our form']);
  const cut = `${(key as string).slice(0, -1)}${(key as string).endsWith('a') ? 'b' : 'a'}`;
  assert.match((await keys(cwd, 'verify --stdin k.jsonl', cut)).out, /its checksum is wrong: it was mistyped or cut$/);

  writeFileSync(path, `${readFileSync(path, 'utf8')}{"id":1}\n\nfw_thekeyitself\n${readFileSync(path, 'utf8')}`);
  const { code: failed, err } = await keys(cwd, 'verify k.jsonl');
  assert.equal(failed, 1);
  assert.match(err, /^k\.jsonl:2: .*\nk\.jsonl:4: Expected a JSON object\nk\.jsonl:5: The same key as in line 1$/);
});

test('keys passwd: set, changed with its groups kept, listed, revoked', async () => {
  const cwd = folder();
  const path = join(cwd, 'users');
  const isFor = async (password: string): Promise<boolean> =>
    runWhole(readUsers(readFileSync(path)))
      .find('j\u00f6rg')!
      .password.isFor(password);
  writeFileSync(path, '# ours\n', { mode: 0o640 });
  chmodSync(path, 0o640);
  await json(cwd, 'passwd --user jo\u0308rg --group staff --group eu users', 'se:cret\n');
  assert.equal(await isFor('se:cret'), true);
  assert.equal(mode(path), 0o640);
  const changed = await json(cwd, 'passwd --user j\u00f6rg --algorithm scrypt users', 'other');
  assert.deepEqual(changed, { user: 'j\u00f6rg', groups: ['staff', 'eu'], file: path, new: false });
  assert.equal(await isFor('other'), true);
  assert.match(readFileSync(path, 'utf8'), /^# ours\nj\u00f6rg:\$scrypt\$[^:]+:staff,eu\n$/);
  assert.deepEqual(await json(cwd, 'list users'), { users: [{ name: 'j\u00f6rg', groups: ['staff', 'eu'] }] });
  assert.equal((await keys(cwd, 'verify users')).out, 'users: 1 users, every line is right');
  await json(cwd, 'revoke j\u00f6rg users');
  assert.equal(readFileSync(path, 'utf8'), '# ours\n');
});

const USAGE: [rule: string, words: string, want: RegExp][] = [
  ['no action', '--json', /Say what to do: create, import, list, revoke, verify, passwd/],
  ['an unknown action', 'creat --consumer a f', /Cannot "creat": did you mean "create"\?/],
  ['a name of Object', 'constructor f', /Cannot "constructor": must be one of/],
  ['no consumer', 'create f', /Say whose key it is: --consumer NAME/],
  ['no file', 'create --consumer a', /Name a file$/m],
  ['no id', 'revoke', /Name an ID and a file/],
  ['no file behind the id', 'revoke x', /Name an ID and a file/],
  ['two files', 'list a b', /Unexpected argument "b"/],
  ['an option of another action', 'list --expires 90d f', /Option --expires is not for "list"/],
  ['a consumer with a comma', 'create --consumer a,b f', /Option --consumer: Expected a name of visible ASCII/],
  ['a group with a comma', 'create --consumer a --group b,c f', /Option --group: /],
  ['a label without a name', 'create --consumer a --label =b f', /Option --label is "=b": must be NAME=TEXT/],
  ['a label of another form', 'create --consumer a --label -=b f', /Option --label/],
  [
    'a time of another form',
    'create --consumer a --expires tomorrow f',
    /Option --expires is "tomorrow": must be like 90d/,
  ],
  ['an end in the past', 'create --consumer a --expires 2020-01-31 f', /must be later than now/],
  [
    'an end before the begin',
    'create --consumer a --not-before 2090-01-31 --expires 90d f',
    /must be later than --not-before/,
  ],
  ['a prefix of another form', 'create --consumer a --prefix a-b f', /Option --prefix is "a-b"/],
  ['no user', 'passwd f', /Say whose password it is/],
  ['a user with a colon', 'passwd --user a:b f', /Option --user is "a:b"/],
  ['another algorithm', 'passwd --user a --algorithm md5 f', /must be one of argon2id, scrypt/],
];

for (const [rule, words, want] of USAGE) {
  test(`keys: ${rule} is refused`, async () => {
    const cwd = folder();
    const { code, err } = await keys(cwd, words, 'secret');
    assert.equal(code, 2);
    assert.match(err, want);
    assert.deepEqual(readdirSync(cwd), []);
  });
}

test('keys: a file of the other kind is not added to', async () => {
  const cwd = folder();
  await json(cwd, 'create --consumer a k');
  await json(cwd, 'passwd --user a u', 'secret');
  assert.match((await keys(cwd, 'passwd --user a k', 'secret')).err, /^Cannot add to k: it holds keys, not passwords$/);
  assert.match((await keys(cwd, 'create --consumer a u')).err, /^Cannot add to u: it holds passwords, not keys$/);
  assert.match((await keys(cwd, 'verify --stdin u', FOREIGN)).err, /^Cannot look a key up in u: it holds passwords$/);
});

test('keys: what cannot be read or written is said', async () => {
  const cwd = folder();
  assert.match((await keys(cwd, 'list none')).err, /^Cannot read none: no such file or directory$/);
  assert.match(
    (await keys(cwd, 'create --consumer a none/k')).err,
    /^Cannot change .*none\/k: no such file or directory$/,
  );
  assert.match((await keys(cwd, 'create --consumer a .')).err, /^Cannot change .*: it is a directory$/);
  writeFileSync(join(cwd, '.k.draft'), '');
  assert.match(
    (await keys(cwd, 'create --consumer a k')).err,
    /\.k\.draft is there: another command changes the file now/,
  );
  assert.ok(existsSync(join(cwd, '.k.draft')) && !existsSync(join(cwd, 'k')));
});

test('keys: a link stays one, and the file behind it is changed', async () => {
  const cwd = folder();
  await json(cwd, 'create --consumer a real');
  symlinkSync('real', join(cwd, 'link'));
  const { key } = await json(cwd, 'create --consumer b link');
  assert.ok(find(join(cwd, 'real'), key as string));
  assert.deepEqual(readdirSync(cwd).toSorted(), ['link', 'real']);
});

test('keys: of many commands at a time, none loses what another one wrote', async () => {
  const cwd = folder();
  const ran = await Promise.all(Array.from({ length: 20 }, async (_, i) => keys(cwd, `create --consumer c${i} k`)));
  const made = ran.filter(({ code }) => code === 0);
  assert.ok(made.length >= 1);
  for (const { out } of made) assert.ok(find(join(cwd, 'k'), out));
  assert.equal(readFileSync(join(cwd, 'k'), 'utf8').split('\n').length - 1, made.length);
  for (const { code, err } of ran) if (code !== 0) assert.match(err, /another command changes the file now/);
});
