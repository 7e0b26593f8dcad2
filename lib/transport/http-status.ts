// What the status of a refusal says of the client: that it may not come in, or that it may come again later.

/** Not now: the server is away or too busy (5xx), the client was too slow (408), too early (425) or came too often (429). */
export const isTemporaryRefusal = (status: number): boolean =>
  status >= 500 || status === 408 || status === 425 || status === 429

/** Whether it says that what answers is no netref, and nothing of the client: it was not asked who it is. */
const NOT_A_NETREF_SERVER_STATUSES: readonly number[] = [400, 404, 405, 426]

/** The client may not come in, who it is. */
export const isClientRefusal = (status: number): boolean =>
  status >= 400 && !isTemporaryRefusal(status) && !NOT_A_NETREF_SERVER_STATUSES.includes(status)
