// kafkajs round trip; see ../README.md. Its public consumer cannot read without a group, so reading goes through the
// cluster and broker objects below it: the same requests, decoder and codecs.
'use strict'

const kafkajs = require('kafkajs')

const codecs = require('./codecs')
const records = require('./records')

// Far above what a run takes; a broker that does not answer fails the test instead of hanging it.
const DEADLINE_MS = 240000
const BATCH_COUNT_MAX = 2000
const BATCH_SIZE_MAX = 400000
const FETCH_SIZE_MAX = 1 << 20
const TYPES = {
  none: kafkajs.CompressionTypes.None,
  gzip: kafkajs.CompressionTypes.GZIP,
  snappy: kafkajs.CompressionTypes.Snappy,
  lz4: kafkajs.CompressionTypes.LZ4,
  zstd: kafkajs.CompressionTypes.ZSTD,
}

class Mismatch extends Error {}

function expect(what, got, wanted) {
  const [one, other] = [JSON.stringify(got), JSON.stringify(wanted)]
  if (one !== other) throw new Mismatch(`${what}: got ${one}, expected ${other}`.slice(0, 2000))
}

function sameBytes(a, b) {
  return a === null || b === null ? a === b : Buffer.compare(a, b) === 0
}

/** As kafkajs takes and gives them: an object of values, or of lists where a name repeats. */
function headerObject(headers) {
  const object = {}
  for (const [name, value] of headers) {
    if (!(name in object)) object[name] = value
    else if (Array.isArray(object[name])) object[name].push(value)
    else object[name] = [object[name], value]
  }
  return object
}

function compare(where, got, wanted) {
  expect(`${where} timestamp`, got.timestamp, String(wanted.timestamp))
  for (const field of ['key', 'value']) {
    if (!sameBytes(got[field], wanted[field])) {
      const show = bytes => (bytes === null ? 'null' : `${bytes.length} bytes ${bytes.toString('hex').slice(0, 80)}`)
      throw new Mismatch(`${where} ${field}: got ${show(got[field])}, expected ${show(wanted[field])}`)
    }
  }
  expect(`${where} headers`, got.headers, headerObject(wanted.headers))
}

class Run {
  constructor(kafka, cluster, topic, items) {
    Object.assign(this, { kafka, cluster, topic, items })
    this.byPartition = []
    for (const item of items) (this.byPartition[item.partition] ??= []).push(item)
  }

  /** End offsets after the first `upto` records. */
  ends(upto) {
    const ends = this.byPartition.map(() => 0)
    for (const item of this.items.slice(0, upto)) ends[item.partition]++
    return ends
  }

  async createTopic() {
    const admin = this.kafka.admin()
    await admin.connect()
    const configEntries = [{ name: 'retention.ms', value: '-1' }]
    const wanted = { topic: this.topic, numPartitions: this.byPartition.length, replicationFactor: 1, configEntries }
    expect(`${this.topic} created`, await admin.createTopics({ topics: [wanted], waitForLeaders: true }), true)
    await admin.disconnect()
  }

  /** Asks for offsets by time: -2 first, -1 end. */
  async offsets(timestamp) {
    const partitions = this.byPartition.map((_, partition) => ({ partition }))
    const [answer] = await this.cluster.fetchTopicsOffset([{ topic: this.topic, partitions, fromTimestamp: timestamp }])
    const result = []
    for (const { partition, offset } of answer.partitions) result[partition] = Number(offset)
    return result
  }

  async waitFor(ends) {
    const limit = Date.now() + DEADLINE_MS
    for (;;) {
      const got = await this.offsets(-1)
      if (got.join() === ends.join()) return
      if (Date.now() > limit || got.some((end, p) => end > ends[p])) expect(`${this.topic} ends after acks=0`, got, ends)
    }
  }

  /** A third of the records with each acks. */
  async produce(codec) {
    const count = this.items.length
    const cuts = [0, Math.floor(count / 3), Math.floor((2 * count) / 3), count]
    const next = this.byPartition.map(() => 0)
    for (const [part, acks] of [-1, 1, 0].entries()) {
      const producer = this.kafka.producer({
        createPartitioner: () => ({ message }) => message.partition,
        idempotent: acks === -1,
        maxInFlightRequests: 1,
        allowAutoTopicCreation: false,
      })
      await producer.connect()
      for (let at = cuts[part]; at < cuts[part + 1]; ) {
        const batch = []
        for (let size = 0; at < cuts[part + 1] && batch.length < BATCH_COUNT_MAX && size < BATCH_SIZE_MAX; at++) {
          const { partition, timestamp, key, value, headers } = this.items[at]
          batch.push({ partition, timestamp: String(timestamp), key, value, headers: headerObject(headers) })
          size += value === null ? 0 : value.length
        }
        const told = await producer.send({ topic: this.topic, messages: batch, acks, compression: TYPES[codec] })
        for (const { partition, baseOffset } of acks === 0 ? [] : told) {
          expect(`${this.topic} acks=${acks} base offset told for partition ${partition}`, baseOffset, String(next[partition]))
        }
        for (const { partition } of batch) next[partition]++
      }
      if (acks === 0) await this.waitFor(this.ends(count))
      await producer.disconnect()
    }
    return count
  }

  /** Reads from `starts` to the end and compares everything; returns how many. */
  async read(starts, what) {
    const ends = this.ends(this.items.length)
    const position = [...starts]
    const limit = Date.now() + DEADLINE_MS
    const leaders = this.cluster.findLeaderForPartitions(this.topic, Object.keys(starts).map(Number))
    expect(`${this.topic} leaders`, Object.keys(leaders).length, 1)
    const broker = await this.cluster.findBroker({ nodeId: Object.keys(leaders)[0] })
    let total = 0
    while (position.some((offset, p) => offset < ends[p])) {
      if (Date.now() > limit) expect(`${this.topic} ${what}: read in time up to`, position, ends)
      const partitions = []
      for (const [partition, offset] of position.entries()) {
        if (offset < ends[partition]) partitions.push({ partition, fetchOffset: String(offset), maxBytes: FETCH_SIZE_MAX })
      }
      const { responses } = await broker.fetch({
        isolationLevel: 0, maxWaitTime: 5000, minBytes: 1, maxBytes: 8 * FETCH_SIZE_MAX, topics: [{ topic: this.topic, partitions }],
      })
      for (const { topicName, partitions: answers } of responses) {
        expect('topic of the answer', topicName, this.topic)
        for (const { partition, messages } of answers) {
          for (const message of messages) {
            // The first batch may begin before the offset that was asked for.
            if (Number(message.offset) < starts[partition]) continue
            expect(`${this.topic} ${what}: next offset of ${partition}`, message.offset, String(position[partition]))
            const where = `${this.topic} partition ${partition} offset ${message.offset}`
            compare(where, message, this.byPartition[partition][position[partition]])
            position[partition]++
            total++
          }
        }
      }
    }
    expect(`${this.topic} ${what}: read up to`, position, ends)
    return total
  }

  /** The three kinds of reading. */
  async readAll(counts) {
    await this.cluster.addTargetTopic(this.topic)
    const ends = this.ends(this.items.length)
    const begins = ends.map(() => 0)
    expect(`${this.topic} begin offsets`, await this.offsets(-2), begins)
    expect(`${this.topic} end offsets`, await this.offsets(-1), ends)
    counts.earliest += await this.read(begins, 'from earliest')
    counts.offset += await this.read(ends.map(end => Math.floor(end / 2)), 'from an offset')
    const target = records.TIMESTAMP_BASE + 10 * Math.floor((2 * this.items.length) / 3)
    const found = this.byPartition.map(items => items.findIndex(item => item.timestamp >= target))
    expect(`${this.topic} offsets for time ${target}`, await this.offsets(target), found)
    counts.timestamp += await this.read(found, 'from a timestamp')
  }
}

function parse(list) {
  const options = { seed: '1', records: '100000', mode: 'roundtrip', writer: 'full' }
  for (let i = 0; i + 1 < list.length; i += 2) options[list[i].replace(/^--/, '')] = list[i + 1]
  return options
}

async function main() {
  const options = parse(process.argv.slice(2))
  const counts = { client: 'kafkajs', produced: 0, earliest: 0, offset: 0, timestamp: 0 }
  const began = Date.now()
  await codecs.install(kafkajs)
  const kafka = new kafkajs.Kafka({ brokers: [options.bootstrap], logLevel: kafkajs.logLevel.ERROR, retry: { retries: 3 } })
  const createCluster = Object.getOwnPropertySymbols(kafka).find(s => s.description === 'private:Kafka:createCluster')
  const cluster = kafka[createCluster]({ allowAutoTopicCreation: false, metadataMaxAge: 300000 })
  await cluster.connect()
  for (const [number, codec] of records.CODECS.entries()) {
    const profile = options.mode === 'roundtrip' ? 'kafkajs' : options.writer
    const items = records.generate(Number(options.seed) + number, Number(options.records), profile)
    const run = new Run(kafka, cluster, `${options.prefix}-${codec}`, items)
    if (options.mode === 'roundtrip') {
      await run.createTopic()
      await cluster.addTargetTopic(run.topic)
      counts.produced += await run.produce(codec)
    }
    await run.readAll(counts)
  }
  await cluster.disconnect()
  console.log(JSON.stringify({ ...counts, seconds: (Date.now() - began) / 1000 }))
}

main().catch(error => {
  console.error(`kafkajs: ${error instanceof Mismatch ? error.message : error.stack}`)
  process.exit(1)
})
