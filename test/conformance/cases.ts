/** A private, writable copy of the conformance suite: it is found read-only and without its one dependency. */
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Excluded, NOT_STANDALONE, SUPPORTED, UNLISTED } from './excluded.ts';

/** Every profile of a gateway. */
export const GATEWAY_PROFILES = ['GATEWAY-HTTP', 'GATEWAY-GRPC', 'GATEWAY-TLS', 'GATEWAY-TCP', 'GATEWAY-UDP'] as const;

/** Those of a mesh have clients inside of it. */
export const PROFILES = [...GATEWAY_PROFILES, 'MESH-HTTP', 'MESH-GRPC'] as const;

/** Tests of a mesh need one: a control plane, and a sidecar for each workload. */
export function isOfMesh(set: DataSet, test: string): boolean {
  return set.profilesOf(test).some((profile) => profile.startsWith('MESH-'));
}

interface TestRow {
  readonly shortName: string;
  readonly profiles: readonly string[];
  /** Tests of what a gateway without a feature must say. */
  readonly featureGuards?: readonly { readonly skipIfSupported?: string }[];
  readonly level: 'core' | 'extended';
  readonly features: readonly string[];
  readonly cases: readonly string[];
}

interface CasesFile {
  readonly meta: {
    readonly branch: string;
    readonly commit: string;
    readonly commitDate: string;
    readonly generatedSecrets: unknown;
  };
  readonly tests: readonly TestRow[];
}

export interface DataSet {
  /** `main` or a release. */
  readonly name: string;
  /** Where the cases come from: branch and commit. */
  readonly about: string;
  readonly suiteDir: string;
  readonly casesFile: string;
  readonly manifestsDir: string;
  /** Certificates that the cases name, made once: the runner would make them for each test. */
  readonly secretsFile: string;
  /** Each test once, whatever number of the profiles it is in. */
  testsOf(profiles: readonly string[]): readonly string[];
  /** Tests of these profiles that are not run. */
  excludedOf(profiles: readonly string[]): readonly Excluded[];
  profilesOf(test: string): readonly string[];
  levelOf(test: string): 'core' | 'extended';
}

/** @param from  the folder with run.mjs; not written to */
export async function prepareDataSets(from: string, nodeModules: string, suiteDir: string): Promise<DataSet[]> {
  cpSync(from, suiteDir, { recursive: true, filter: (path) => !path.includes('node_modules') });
  mkdirSync(join(suiteDir, 'node_modules'));
  symlinkSync(join(nodeModules, 'yaml'), join(suiteDir, 'node_modules/yaml'));
  const { generateSecrets } = (await import(pathToFileURL(join(suiteDir, 'lib/certs.mjs')).href)) as {
    generateSecrets: (wanted: unknown) => unknown;
  };
  const folders: readonly (readonly [name: string, dir: string])[] = [
    ['main', suiteDir],
    ['v1.6.1', join(suiteDir, 'v1.6.1')],
  ];
  return folders.map(([name, dir]) => readSet(name, dir, { suiteDir, generateSecrets }));
}

function readSet(
  name: string,
  dir: string,
  { suiteDir, generateSecrets }: { readonly suiteDir: string; readonly generateSecrets: (wanted: unknown) => unknown },
): DataSet {
  const casesFile = join(dir, 'cases.json');
  const secretsFile = join(dir, 'secrets.json');
  const { meta, tests } = JSON.parse(readFileSync(casesFile, 'utf8')) as CasesFile;
  writeFileSync(secretsFile, JSON.stringify(generateSecrets(meta.generatedSecrets)));
  return {
    name,
    about: `${meta.branch}, commit ${meta.commit.slice(0, 10)} of ${meta.commitDate.slice(0, 10)}`,
    suiteDir,
    secretsFile,
    casesFile,
    manifestsDir: join(dir, 'manifests'),
    ...selections(tests),
  };
}

function selections(tests: readonly TestRow[]): Pick<DataSet, 'testsOf' | 'excludedOf' | 'profilesOf' | 'levelOf'> {
  const rows = new Map(tests.map((test) => [test.shortName, test]));
  const profilesOf = (test: string): readonly string[] => {
    const listed = rows.get(test)?.profiles.filter((profile) => PROFILES.some((known) => known === profile)) ?? [];
    const own = UNLISTED[test];
    return own === undefined ? listed : [own];
  };
  const of = (profiles: readonly string[]): TestRow[] =>
    tests.filter(({ shortName }) => profilesOf(shortName).some((profile) => profiles.includes(profile)));
  return {
    profilesOf,
    testsOf: (profiles) => of(profiles).flatMap((test) => (exclusionOf(test) === undefined ? [test.shortName] : [])),
    excludedOf: (profiles) => of(profiles).flatMap((test) => exclusionOf(test) ?? []),
    levelOf: (test) => rows.get(test)?.level ?? 'extended',
  };
}

function exclusionOf({ shortName, featureGuards = [] }: TestRow): Excluded | undefined {
  const guard = featureGuards.find(({ skipIfSupported = '' }) => SUPPORTED.includes(skipIfSupported));
  if (guard === undefined) return NOT_STANDALONE.find(({ test }) => test === shortName);
  const reason = `Upstream skips it for gateways with ${guard.skipIfSupported}: it asks what those without must say`;
  return { test: shortName, reason };
}
