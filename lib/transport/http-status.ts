// Classifies the HTTP status of a refusal: temporary, or final for this client.

/**
 * Temporary: the server is down or busy (5xx), or the client was too slow (408), too early (425) or too frequent
 * (429).
 */
export const isTemporaryRefusal = (status: number): boolean =>
  status >= 500 || status === 408 || status === 425 || status === 429

/** Statuses of servers that are not netref servers; they say nothing about the client. */
const NOT_A_NETREF_SERVER_STATUSES: readonly number[] = [400, 404, 405, 426]

/** The server refuses this client by its identity. */
export const isClientRefusal = (status: number): boolean =>
  status >= 400 && !isTemporaryRefusal(status) && !NOT_A_NETREF_SERVER_STATUSES.includes(status)
