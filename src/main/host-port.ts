export interface HostPort {
  readonly host: string;
  readonly port: number;
}
