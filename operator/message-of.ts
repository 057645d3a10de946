/** What a thrown value says, for conditions, logs and other errors' words. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
