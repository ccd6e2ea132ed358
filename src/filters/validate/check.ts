import type { ConfigIssue } from '../../filter/declaration.ts';
import { OpenApiDocument } from '../../openapi/document.ts';
import { WrongPart } from '../../openapi/wrong.ts';
import { Api } from './api.ts';
import type { UncheckedPatterns, ValidateConfig } from './config.ts';
import { standaloneValidator } from './validators.ts';

/** Mistakes of a document that are told at a time: one often makes many. */
const TOLD_MAX = 20;

export function check(config: ValidateConfig): readonly ConfigIssue[] {
  const { file, document, schemas, uncheckedPatterns } = config;
  const said = [file, document, schemas].filter((one) => one !== undefined).length;
  if (said !== 1) {
    return [{ pointer: '', message: `${said} of file, document and schemas are set: exactly one should be` }];
  }
  if (document !== undefined) return documentIssues(document, uncheckedPatterns);
  return (['request', 'answer'] as const).flatMap((side) => {
    const schema = schemas?.[side];
    if (schema === undefined) return [];
    try {
      standaloneValidator(schema);
      return [];
    } catch (error) {
      return [{ pointer: `/schemas/${side}`, message: (error as Error).message }];
    }
  });
}

/** Both directions, whatever the modes: they are changed more easily than documents. */
function documentIssues(document: object, unchecked: UncheckedPatterns): ConfigIssue[] {
  const wrong = new Map<string, ConfigIssue>();
  try {
    const api = new Api(new OpenApiDocument(document), unchecked);
    for (const operation of api.operations) {
      for (const plan of [api.requests.of(operation), api.answers.of(operation)]) {
        if (!(plan instanceof WrongPart)) continue;
        const { pointer, message } = plan;
        // The same part may be wrong in both directions.
        wrong.set(`${pointer} ${message}`, { pointer: `/document${pointer}`, message });
      }
      if (wrong.size >= TOLD_MAX) break;
    }
  } catch (error) {
    const pointer = error instanceof WrongPart ? error.pointer : '';
    return [{ pointer: `/document${pointer}`, message: (error as Error).message }];
  }
  return [...wrong.values()];
}
