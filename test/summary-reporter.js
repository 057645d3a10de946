/** Ends every run with `N passed, N failed, N skipped`. In CI a skipped test is a failure: there everything has to run. */
export default class SummaryReporter {
  onRunComplete(_contexts, results) {
    const skipped = results.numPendingTests + results.numTodoTests;
    const broken = results.numRuntimeErrorTestSuites;
    this.skippedInCi = process.env.CI === 'true' && skipped > 0 ? skipped : 0;
    const failed = results.numFailedTests + broken + this.skippedInCi;
    process.stderr.write(
      `\n${results.numPassedTests} passed, ${failed} failed, ${skipped - this.skippedInCi} skipped\n`,
    );
  }

  getLastError() {
    return this.skippedInCi > 0 ? new Error(`${this.skippedInCi} tests were skipped, and CI may skip none`) : undefined;
  }
}
