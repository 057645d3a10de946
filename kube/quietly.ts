/** Calls what others have handed in to be told; they cannot end the loop that tells them. */
export function quietly(tell: () => void): void {
  try {
    tell();
  } catch {
    // whom to tell is what has just failed
  }
}
