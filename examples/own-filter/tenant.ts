import { defineFilter, refuse, reply, Type, WHOLE_BODY } from 'fourways/filter';

/** Knows the tenant by a header, tells the service, and signs what it answers. */
export const tenant = defineFilter({
  name: 'tenant',
  options: Type.Object({ tenants: Type.Array(Type.String()) }, { additionalProperties: false }),
  make({ tenants }, env) {
    const known = new Set(tenants);
    return {
      onRequest(x) {
        const { request } = x;
        if (request.path === '/tenants') return reply({ status: 200, body: `${tenants.join('\n')}\n` });
        const name = request.headers.get('x-api-tenant');
        if (name === undefined || !known.has(name)) {
          env.count('unknown');
          return refuse({ status: 403, code: 'unknown', title: 'There is no such tenant' });
        }
        request.headers.delete('x-api-tenant');
        request.headers.set('x-tenant', name);
        x.note('tenant', name);
        return request.method === 'POST' ? WHOLE_BODY : undefined;
      },
      // What the service gets is one line.
      onRequestBody: (_, body) => body.toString().replaceAll('\n', ' '),
      onResponse(_, response) {
        response.headers.set('x-served-for', 'a tenant');
      },
    };
  },
});
