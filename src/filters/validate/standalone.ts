/** JSON Schemas without a document: every body of the route is held to one. */
import { Fault } from '../../base/fault.ts';
import { codingsOf } from '../../filter/codings.ts';
import type { Env } from '../../filter/env.ts';
import { type BodyVerdict, type Exchange, type Filter, WHOLE_BODY } from '../../filter/filter.ts';
import type { ResponseHead } from '../../http/message.ts';
import { FAULTS, type ValidateConfig } from './config.ts';
import { type CheckBody, isJsonType, isUtf8, jsonCheck, typeIn } from './media.ts';
import { standaloneValidator } from './validators.ts';

/** @throws {Error} on a schema that is not valid: the plan is refused */
export function makeStandalone(config: ValidateConfig, env: Env): Filter {
  const { schemas = {}, bodyBytesMax } = config;
  const checkOf = (schema: object): CheckBody => jsonCheck(standaloneValidator(schema));
  const bound = (mode: string) => ({ bytesMax: bodyBytesMax, beyond: mode === 'enforce' ? 'refuse' : 'pass' }) as const;
  const withRequest = schemas.request !== undefined && config.requests !== 'off';
  const withAnswer = schemas.answer !== undefined && config.answers !== 'off';
  return {
    ...(withRequest && {
      ...requestHooks(config, env, checkOf(schemas.request!)),
      requestBound: bound(config.requests),
    }),
    ...(withAnswer && { ...answerHooks(config, env, checkOf(schemas.answer!)), responseBound: bound(config.answers) }),
  };
}

function requestHooks(config: ValidateConfig, env: Env, check: CheckBody): Pick<Filter, 'onRequest' | 'onRequestBody'> {
  const { depthMax } = config;
  const because = (x: Exchange, fault: Fault): Fault | undefined => {
    env.count('request_invalid');
    if (config.requests === 'enforce') return fault;
    x.note('validate', fault.code);
    return undefined;
  };
  return {
    onRequest(x) {
      const { headers, bodyLength, method } = x.request;
      if (bodyLength === 0 && (method === 'GET' || method === 'HEAD' || method === 'DELETE' || method === 'OPTIONS')) {
        return undefined;
      }
      const type = typeIn(headers);
      if (type === undefined || !isJsonType(type.type) || !isUtf8(type.charset)) {
        const accept = [['accept', 'application/json']] as const;
        return because(x, new Fault(FAULTS['validate.unsupported-type'], 'The body is not JSON', { headers: accept }));
      }
      if (codingsOf(headers).length > 0) {
        return because(x, new Fault(FAULTS['validate.coded'], 'The body is compressed'));
      }
      return WHOLE_BODY;
    },
    onRequestBody(x, body): BodyVerdict {
      const checked = check({ contentType: '', body, depthMax });
      if (checked.kind === 'malformed')
        return because(x, new Fault(FAULTS['validate.malformed'], `Body: ${checked.why}`));
      if (checked.issues.length === 0) return undefined;
      const errors = checked.issues.slice(0, config.errorsMax);
      const detail = `Body ${errors[0]!.message}`;
      return because(x, new Fault(FAULTS['validate.request-invalid'], detail, { members: { errors } }));
    },
  };
}

function answerHooks(
  config: ValidateConfig,
  env: Env,
  check: CheckBody,
): Pick<Filter, 'onResponse' | 'onResponseBody'> {
  const { depthMax } = config;
  const bad = (x: Exchange, detail: string): Fault | undefined => {
    env.count('answer_invalid');
    if (config.answers === 'enforce') return new Fault(FAULTS['validate.answer-invalid'], detail);
    x.note('validate', FAULTS['validate.answer-invalid'].code);
    return undefined;
  };
  return {
    onResponse(x, { status, headers, bodyLength }: ResponseHead) {
      const isJson = isJsonType(typeIn(headers)?.type ?? '');
      if (status < 200 || status > 299 || bodyLength === 0 || x.request.method === 'HEAD' || !isJson) return undefined;
      return codingsOf(headers).length > 0 ? bad(x, 'The answer is compressed, and cannot be read') : WHOLE_BODY;
    },
    onResponseBody(x, _, body): BodyVerdict {
      const checked = check({ contentType: '', body, depthMax });
      if (checked.kind === 'malformed') return bad(x, `Answer: ${checked.why}`);
      return checked.issues.length === 0 ? undefined : bad(x, `Answer: body ${checked.issues[0]!.message}`);
    },
  };
}
