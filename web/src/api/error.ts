/** What is wrong with one field of a request, in the API's words. */
export interface Violation {
  field: string;
  reason: string;
  message: string;
}

interface StatusBody {
  message?: string;
  details?: { fieldViolations?: { field?: string; reason?: string; description?: string }[] }[];
}

/** A call that did not succeed. message is what the API said, or what kept it from answering. */
export class ApiError extends Error {
  override name = 'ApiError';

  constructor(
    message: string,
    /** The HTTP status; 0 when there was no answer. */
    readonly status: number,
    /** X-Isthmus-Fault: not-found, conflict, …; unreachable when there was no answer. */
    readonly fault: string,
    readonly violations: Violation[] = [],
    /** X-Request-Id: the same as in the audit log and the server's log. */
    readonly requestId = '',
    /** When it may be tried again (s from the answer on), as a server that is busy says; 0: it does not say. */
    readonly retryAfter = 0,
  ) {
    super(message);
  }

  /** The error of an answer whose body is a google.rpc.Status, or anything at all when a proxy answered. */
  static of(response: Response, body: unknown): ApiError {
    const status = isStatus(body) ? body : {};
    const violations = (status.details ?? []).flatMap((d) =>
      (d.fieldViolations ?? []).map((v) => ({
        field: v.field ?? '',
        reason: v.reason ?? '',
        message: v.description ?? '',
      })),
    );
    const message = status.message ?? `the server answered ${response.status} ${response.statusText}`.trim();
    return new ApiError(
      message,
      response.status,
      response.headers.get('X-Isthmus-Fault') ?? '',
      violations,
      response.headers.get('X-Request-Id') ?? '',
      seconds(response.headers.get('Retry-After')),
    );
  }

  static unreachable(cause: unknown): ApiError {
    const why = cause instanceof Error ? cause.message : String(cause);
    return new ApiError(`the server cannot be reached (${why})`, 0, 'unreachable');
  }
}

/** Retry-After in seconds, as isthmus writes it; a proxy's date or nothing is 0. */
function seconds(header: string | null): number {
  return header !== null && /^\d{1,9}$/.test(header) ? Number(header) : 0;
}

function isStatus(body: unknown): body is StatusBody {
  return typeof body === 'object' && body !== null && 'message' in body;
}

/** A violation's field without the place of its manifest: "document 1, line 7: spec.dialer" is spec.dialer of document 1. */
export function placeOf(field: string): { document: number; field: string } {
  const found = /^(?:.*: )?document (\d+), line \d+: (.*)$/s.exec(field);
  return found === null ? { document: 1, field } : { document: Number(found[1]), field: found[2] ?? '' };
}

/** What is wrong with each field of one manifest, by the field's path, for forms: spec.dialer. Empty when the error is of another kind. */
export function fieldErrors(error: unknown, document = 1): Record<string, string> {
  const violations = error instanceof ApiError ? error.violations : [];
  const out: Record<string, string> = {};
  for (const v of violations) {
    const at = placeOf(v.field);
    if (at.document !== document) continue;
    const before = out[at.field];
    out[at.field] = before === undefined ? v.message : `${before}; ${v.message}`;
  }
  return out;
}
