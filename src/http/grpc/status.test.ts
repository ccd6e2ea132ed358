import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeMessage, formOf, type GrpcForm, grpcOfHttp, inForm, parseStatus } from './status.ts';

const MESSAGES: readonly (readonly [rule: string, text: string, want: string])[] = [
  ['printable ASCII stays', 'No route (a/b)~!', 'No route (a/b)~!'],
  ['percent', '100%', '100%25'],
  ['line ends', 'a\r\nb', 'a%0D%0Ab'],
  ['UTF-8', 'Straße ☃', 'Stra%C3%9Fe %E2%98%83'],
  ['delete', '\x7f', '%7F'],
  ['nothing', '', ''],
];
for (const [rule, text, want] of MESSAGES) {
  void test(`grpc-message: ${rule}`, () => {
    assert.equal(encodeMessage(text), want);
    assert.equal(decodeURIComponent(want), text, 'reads back');
  });
}

const HTTP: readonly (readonly [http: number, grpc: number])[] = [
  [400, 13],
  [401, 16],
  [403, 7],
  [404, 12],
  [429, 14],
  [502, 14],
  [503, 14],
  [504, 14],
  [200, 2],
  [302, 2],
  [418, 2],
  [500, 2],
];
for (const [http, grpc] of HTTP) {
  void test(`grpc status of HTTP ${http} is ${grpc}`, () => assert.equal(grpcOfHttp(http), grpc));
}

const STATUSES: readonly (readonly [value: string, want: number])[] = [
  ['0', 0],
  ['16', 16],
  ['99', 99],
  ['', 2],
  ['x', 2],
  ['-1', 2],
  ['1e1', 2],
  ['1234', 2],
];
for (const [value, want] of STATUSES) {
  void test(`grpc-status "${value}" is ${want}`, () => assert.equal(parseStatus(value), want));
}

const TYPES: readonly (readonly [type: string | undefined, form: GrpcForm | undefined])[] = [
  ['application/grpc', 'grpc'],
  ['application/grpc+proto', 'grpc'],
  ['Application/GRPC; charset=x', 'grpc'],
  ['application/grpc-web', 'web'],
  ['application/grpc-web+proto', 'web'],
  ['application/grpc-web-text', 'web-text'],
  ['application/grpc-web-text+proto', 'web-text'],
  ['application/grpcx', undefined],
  ['application/grpc-webs', undefined],
  ['application/json', undefined],
  ['text/application/grpc', undefined],
  ['', undefined],
  [undefined, undefined],
];
for (const [type, form] of TYPES) {
  void test(`the form of "${type}" is ${form}`, () => assert.equal(formOf(type), form));
}

void test('a content type changes its form and keeps the rest', () => {
  assert.equal(inForm('application/grpc-web-text+proto', 'grpc'), 'application/grpc+proto');
  assert.equal(inForm('application/grpc+json; a=b', 'web-text'), 'application/grpc-web-text+json; a=b');
});
