/** Resources back to manifests, for people to read. Values of secrets are not shown. */
import type { Resource } from './resource.ts';
import { writeYaml } from './yaml.ts';

/** The manifest of a resource as a plain value, with every default written out. */
export function manifestOf(resource: Resource): Readonly<Record<string, unknown>> {
  const { apiVersion, kind, metadata, origin: _, ...rest } = resource;
  const { name, namespace, labels, annotations, generation, creationMs, uid } = metadata;
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      ...(namespace !== '' && { namespace }),
      ...(Object.keys(labels).length > 0 && { labels }),
      ...(Object.keys(annotations).length > 0 && { annotations }),
      ...(generation !== 1 && { generation }),
      ...(creationMs !== undefined && { creationTimestamp: new Date(creationMs).toISOString() }),
      ...(uid !== undefined && { uid }),
    },
    ...(kind === 'Secret' ? { type: resource.type, data: resource.data.toJSON() } : rest),
  };
}

/** One YAML document for each resource, with `---` between them. */
export function writeManifests(resources: readonly Resource[]): string {
  return resources.map((resource) => writeYaml(manifestOf(resource))).join('---\n');
}
