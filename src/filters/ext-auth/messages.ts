/**
 * The messages of `envoy.service.auth.v3` that are used here, by the field
 * numbers that Envoy publishes. Fields that are not named are passed over when
 * an answer is read (protobuf, "Unknown Fields").
 *
 * @see envoy/service/auth/v3/attribute_context.proto, external_auth.proto, envoy/config/core/v3/base.proto
 */
import {
  create,
  createFileRegistry,
  type DescMessage,
  fromBinary,
  type JsonObject,
  toBinary,
} from '@bufbuild/protobuf';
import {
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as FieldType,
  FileDescriptorProtoSchema,
  file_google_protobuf_struct,
  file_google_protobuf_timestamp,
  file_google_protobuf_wrappers,
} from '@bufbuild/protobuf/wkt';

/** A type of a field: a scalar, a message of the table below, one of Google's; `[]` for many, `{}` for a map of texts to it. */
type Field = readonly [number: number, type: string, oneof?: string];

const MESSAGES: Readonly<Record<string, Readonly<Record<string, Field>>>> = {
  CheckRequest: { attributes: [1, 'AttributeContext'] },
  AttributeContext: {
    source: [1, 'Peer'],
    destination: [2, 'Peer'],
    request: [4, 'Request'],
    context_extensions: [10, 'string{}'],
    metadata_context: [11, 'Metadata'],
    tls_session: [12, 'TlsSession'],
  },
  Peer: { address: [1, 'Address'], principal: [4, 'string'], certificate: [5, 'string'] },
  Address: { socket_address: [1, 'SocketAddress', 'address'] },
  SocketAddress: { address: [2, 'string'], port_value: [3, 'uint32', 'port_specifier'] },
  Request: { time: [1, 'google.protobuf.Timestamp'], http: [2, 'HttpRequest'] },
  HttpRequest: {
    id: [1, 'string'],
    method: [2, 'string'],
    headers: [3, 'string{}'],
    path: [4, 'string'],
    host: [5, 'string'],
    scheme: [6, 'string'],
    size: [9, 'int64'],
    body: [11, 'string'],
    raw_body: [12, 'bytes'],
  },
  TlsSession: { sni: [1, 'string'] },
  Metadata: { filter_metadata: [1, 'google.protobuf.Struct{}'] },

  CheckResponse: {
    status: [1, 'Status'],
    denied_response: [2, 'DeniedHttpResponse', 'http_response'],
    ok_response: [3, 'OkHttpResponse', 'http_response'],
    error_response: [5, 'DeniedHttpResponse', 'http_response'],
    dynamic_metadata: [4, 'google.protobuf.Struct'],
  },
  Status: { code: [1, 'int32'], message: [2, 'string'] },
  DeniedHttpResponse: { status: [1, 'HttpStatus'], headers: [2, 'HeaderValueOption[]'], body: [3, 'string'] },
  HttpStatus: { code: [1, 'int32'] },
  OkHttpResponse: {
    headers: [2, 'HeaderValueOption[]'],
    dynamic_metadata: [3, 'google.protobuf.Struct'],
    headers_to_remove: [5, 'string[]'],
    response_headers_to_add: [6, 'HeaderValueOption[]'],
    query_parameters_to_set: [7, 'QueryParameter[]'],
    query_parameters_to_remove: [8, 'string[]'],
  },
  // Enumerations look like an int32 on the wire.
  HeaderValueOption: {
    header: [1, 'HeaderValue'],
    append: [2, 'google.protobuf.BoolValue'],
    append_action: [3, 'int32'],
    keep_empty_value: [4, 'bool'],
  },
  HeaderValue: { key: [1, 'string'], value: [2, 'string'], raw_value: [3, 'bytes'] },
  QueryParameter: { key: [1, 'string'], value: [2, 'string'] },
};

interface Peer {
  readonly address: {
    readonly address: {
      readonly case: 'socketAddress';
      readonly value: {
        readonly address: string;
        readonly portSpecifier: { readonly case: 'portValue'; readonly value: number };
      };
    };
  };
  readonly principal?: string;
  readonly certificate?: string;
}

export interface CheckRequest {
  readonly attributes: {
    readonly source?: Peer;
    readonly request: {
      readonly time: { readonly seconds: bigint; readonly nanos: number };
      readonly http: {
        readonly id: string;
        readonly method: string;
        readonly headers: Readonly<Record<string, string>>;
        readonly path: string;
        readonly host: string;
        readonly scheme: string;
        /** -1 where it is not known. */
        readonly size: bigint;
        readonly body?: string;
        readonly rawBody?: Uint8Array;
      };
    };
    readonly contextExtensions: Readonly<Record<string, string>>;
    readonly metadataContext?: { readonly filterMetadata: Readonly<Record<string, JsonObject>> };
    readonly tlsSession?: { readonly sni: string };
  };
}

export interface HeaderOption {
  readonly header?: { readonly key: string; readonly value: string; readonly rawValue: Uint8Array };
  readonly append?: boolean;
  readonly appendAction: number;
}

export interface DeniedResponse {
  readonly status?: { readonly code: number };
  readonly headers: readonly HeaderOption[];
  readonly body: string;
}

export interface OkResponse {
  readonly headers: readonly HeaderOption[];
  readonly dynamicMetadata?: JsonObject;
  readonly headersToRemove: readonly string[];
  readonly responseHeadersToAdd: readonly HeaderOption[];
  readonly queryParametersToSet: readonly { readonly key: string; readonly value: string }[];
  readonly queryParametersToRemove: readonly string[];
}

export interface CheckResponse {
  readonly status?: { readonly code: number };
  readonly httpResponse:
    | { readonly case: 'deniedResponse' | 'errorResponse'; readonly value: DeniedResponse }
    | { readonly case: 'okResponse'; readonly value: OkResponse }
    | { readonly case: undefined };
  readonly dynamicMetadata?: JsonObject;
}

const SCALARS: Readonly<Record<string, FieldType>> = {
  bool: FieldType.BOOL,
  bytes: FieldType.BYTES,
  int32: FieldType.INT32,
  int64: FieldType.INT64,
  string: FieldType.STRING,
  uint32: FieldType.UINT32,
};

const PACKAGE = 'fourways.ext_auth';
const GOOGLE = [file_google_protobuf_struct, file_google_protobuf_timestamp, file_google_protobuf_wrappers];

const registry = createFileRegistry(describeFile(), (name) => GOOGLE.find(({ proto }) => proto.name === name));
const CHECK_REQUEST = message('CheckRequest');
const CHECK_RESPONSE = message('CheckResponse');

/** A message in its frame (grpc/doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message"). */
export function encodeRequest(request: CheckRequest): Buffer {
  const bytes = toBinary(CHECK_REQUEST, create(CHECK_REQUEST, request as unknown as Record<string, unknown>));
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + bytes.length);
  frame[0] = 0;
  frame.writeUInt32BE(bytes.length, 1);
  frame.set(bytes, PREFIX_BYTES);
  return frame;
}

/** What is wrong is said in words. */
export function decodeResponse(frame: Buffer): CheckResponse | string {
  if (frame.length < PREFIX_BYTES) return 'There is no message';
  if (frame[0] !== 0) return 'The message is compressed, which it was not asked to be';
  if (frame.readUInt32BE(1) !== frame.length - PREFIX_BYTES) return 'There is not exactly one message';
  try {
    return fromBinary(CHECK_RESPONSE, frame.subarray(PREFIX_BYTES)) as unknown as CheckResponse;
  } catch {
    return 'The message is not a CheckResponse';
  }
}

const PREFIX_BYTES = 5;

function message(name: string): DescMessage {
  const found = registry.getMessage(`${PACKAGE}.${name}`);
  if (found === undefined) throw new Error(`Cannot find the message "${name}"`);
  return found;
}

function describeFile(): ReturnType<typeof create<typeof FileDescriptorProtoSchema>> {
  return create(FileDescriptorProtoSchema, {
    name: 'fourways/ext_auth.proto',
    package: PACKAGE,
    syntax: 'proto3',
    dependency: GOOGLE.map(({ proto }) => proto.name),
    messageType: Object.entries(MESSAGES).map(([name, fields]) => {
      const oneofs = [...new Set(Object.values(fields).flatMap(([, , oneof]) => oneof ?? []))];
      const maps = Object.entries(fields).filter(([, [, type]]) => type.endsWith('{}'));
      return {
        name,
        oneofDecl: oneofs.map((oneof) => ({ name: oneof })),
        field: Object.entries(fields).map(([field, [number, type, oneof]]) => ({
          name: field,
          number,
          label: /[\]}]$/.test(type) ? Label.REPEATED : Label.OPTIONAL,
          ...(type.endsWith('{}')
            ? { type: FieldType.MESSAGE, typeName: `.${PACKAGE}.${name}.${entryName(field)}` }
            : typeOf(type)),
          ...(oneof !== undefined && { oneofIndex: oneofs.indexOf(oneof) }),
        })),
        nestedType: maps.map(([field, [, type]]) => ({
          name: entryName(field),
          options: { mapEntry: true },
          field: [
            { name: 'key', number: 1, label: Label.OPTIONAL, type: FieldType.STRING },
            { name: 'value', number: 2, label: Label.OPTIONAL, ...typeOf(type) },
          ],
        })),
      };
    }),
  });
}

/** As protoc names what stands for a map. */
function entryName(field: string): string {
  return `${field.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())}Entry`;
}

function typeOf(text: string): { readonly type: FieldType; readonly typeName?: string } {
  const name = text.replace(/(?:\[\]|\{\})$/, '');
  const type = SCALARS[name];
  if (type !== undefined) return { type };
  return { type: FieldType.MESSAGE, typeName: name.startsWith('google.') ? `.${name}` : `.${PACKAGE}.${name}` };
}
