// The contract of contract.py, for Node. Certificates: NODE_EXTRA_CA_CERTS is read by Node itself.
export const cookie = process.env.LAB_COOKIE

export const targets = process.argv.slice(2).map((word, at) => ({ at, url: word.slice(word.indexOf("=") + 1) }))

export const say = (at, is, more = {}) => process.stdout.write(JSON.stringify({ at, is, ...more }) + "\n")

export const origin = url => new URL(url).origin.replace(/^ws/, "http")
