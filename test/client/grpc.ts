/** A client and a server of gRPC that are not ours (`@grpc/grpc-js`), for messages that are plain bytes. */
import * as grpc from '@grpc/grpc-js';

export const SERVICE = 'test.Echo';

const same = (bytes: Buffer): Buffer => bytes;

function method(name: string, requestStream: boolean, responseStream: boolean): grpc.MethodDefinition<Buffer, Buffer> {
  return {
    path: `/${SERVICE}/${name}`,
    requestStream,
    responseStream,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

const DEFINITION = {
  Unary: method('Unary', false, false),
  Up: method('Up', true, false),
  Down: method('Down', false, true),
  Both: method('Both', true, true),
};

/** What the server does with calls; whatever is left out echoes. */
export interface Behaviour {
  readonly unary?: (call: grpc.ServerUnaryCall<Buffer, Buffer>, answer: grpc.sendUnaryData<Buffer>) => void;
  readonly down?: (call: grpc.ServerWritableStream<Buffer, Buffer>) => void;
}

export class EchoServer implements AsyncDisposable {
  readonly server: grpc.Server;
  readonly host = '127.0.0.1';
  port = 0;

  private constructor(server: grpc.Server) {
    this.server = server;
  }

  static async start(behaviour: Behaviour = {}): Promise<EchoServer> {
    const server = new grpc.Server({ 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 });
    server.addService(DEFINITION, {
      Unary:
        behaviour.unary ??
        ((call: grpc.ServerUnaryCall<Buffer, Buffer>, answer: grpc.sendUnaryData<Buffer>) =>
          answer(null, call.request, call.metadata)),
      Up(call: grpc.ServerReadableStream<Buffer, Buffer>, answer: grpc.sendUnaryData<Buffer>) {
        let count = 0;
        call.on('data', () => count++);
        call.on('end', () => answer(null, Buffer.from(String(count))));
      },
      Down:
        behaviour.down ??
        ((call: grpc.ServerWritableStream<Buffer, Buffer>) => {
          for (let i = 0; i < 5; i++) call.write(Buffer.from(String(i)));
          call.end();
        }),
      Both(call: grpc.ServerDuplexStream<Buffer, Buffer>) {
        call.on('data', (bytes: Buffer) => call.write(bytes));
        call.on('end', () => call.end());
      },
    } as grpc.UntypedServiceImplementation);
    const echo = new EchoServer(server);
    echo.port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) =>
        error === null ? resolve(port) : reject(error),
      ),
    );
    return echo;
  }

  /** Ends politely: GOAWAY, and what runs comes to its end. */
  shutdown(): Promise<void> {
    return new Promise((resolve) => this.server.tryShutdown(() => resolve()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.forceShutdown();
    await Promise.resolve();
  }
}

export interface Answer {
  readonly body: Buffer | undefined;
  readonly status: grpc.StatusObject;
  readonly metadata: grpc.Metadata | undefined;
}

export class EchoClient implements Disposable {
  readonly client: grpc.Client;

  constructor(target: string, authority = 'grpc.test') {
    this.client = new grpc.Client(target, grpc.credentials.createInsecure(), {
      'grpc.default_authority': authority,
      'grpc.max_receive_message_length': -1,
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
    });
  }

  unary(body: Buffer | string, metadata = new grpc.Metadata(), options: grpc.CallOptions = {}): Promise<Answer> {
    return new Promise((resolve) => {
      let head: grpc.Metadata | undefined;
      let got: Buffer | undefined;
      const call = this.client.makeUnaryRequest(
        DEFINITION.Unary.path,
        same,
        same,
        Buffer.from(body),
        metadata,
        options,
        (_, value) => (got = value),
      );
      call.on('metadata', (value) => (head = value));
      call.on('status', (status) => setImmediate(() => resolve({ body: got, status, metadata: head })));
    });
  }

  up(): { call: grpc.ClientWritableStream<Buffer>; answer: Promise<Buffer> } {
    let call: grpc.ClientWritableStream<Buffer>;
    const answer = new Promise<Buffer>((resolve, reject) => {
      call = this.client.makeClientStreamRequest<Buffer, Buffer>(DEFINITION.Up.path, same, same, (error, value) =>
        error === null ? resolve(value!) : reject(error),
      );
    });
    return { call: call!, answer };
  }

  down(options: grpc.CallOptions = {}): grpc.ClientReadableStream<Buffer> {
    return this.client.makeServerStreamRequest(DEFINITION.Down.path, same, same, Buffer.alloc(0), options);
  }

  both(): grpc.ClientDuplexStream<Buffer, Buffer> {
    return this.client.makeBidiStreamRequest(DEFINITION.Both.path, same, same);
  }

  [Symbol.dispose](): void {
    this.client.close();
  }
}

/** All messages of a stream, and the status it ended with. */
export function collect(
  call: grpc.ClientReadableStream<Buffer>,
): Promise<{ messages: string[]; status: grpc.StatusObject }> {
  return new Promise((resolve) => {
    const messages: string[] = [];
    call.on('data', (bytes: Buffer) => messages.push(bytes.toString()));
    call.on('error', () => undefined);
    call.on('status', (status: grpc.StatusObject) => setImmediate(() => resolve({ messages, status })));
  });
}
