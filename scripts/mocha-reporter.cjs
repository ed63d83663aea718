// Mocha's own report, closed by one plain line that says how many passed and failed, and why what was skipped was.
const { reporters } = require('mocha')

module.exports = class extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options)
    runner.once('end', () => {
      const { passes = 0, failures = 0, pending = 0 } = this.stats ?? runner.stats ?? {}
      console.log(`${passes} passed, ${failures} failed, ${pending} skipped`)
    })
  }
}
