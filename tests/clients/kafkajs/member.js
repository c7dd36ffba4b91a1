// kafkajs as a member of a consumer group; see ../README.md. It knows the classic protocol with eager rebalances, and no
// static members.
'use strict'

const kafkajs = require('kafkajs')

// Bytes of a partition taken at a time: some hundred records.
const FETCH_SIZE_MAX = 8192

function parse(list) {
  const options = { protocol: 'classic', commit: 'after', 'session-ms': '6000', 'heartbeat-ms': '500', instance: '' }
  for (let i = 0; i + 1 < list.length; i += 2) options[list[i].replace(/^--/, '')] = list[i + 1]
  return options
}

/** Prints one event; pipes are written to at once. */
function tell(event) {
  process.stdout.write(JSON.stringify(event) + '\n')
}

function work(partition, messages) {
  tell({ event: 'records', partition, records: messages.map(({ offset, value }) => [Number(offset), value.toString()]) })
}

/** Processes and commits in the order asked for. A refused commit goes to kafkajs, which joins again if it must and
 * begins at what is committed. */
async function handle(consumer, options, { batch, resolveOffset, heartbeat, isRunning, isStale }) {
  if (batch.messages.length === 0 || !isRunning() || isStale()) return
  const { topic, partition, messages } = batch
  const end = Number(messages[messages.length - 1].offset) + 1
  if (options.commit === 'after') work(partition, messages)
  try {
    await consumer.commitOffsets([{ topic, partition, offset: String(end) }])
  } catch (error) {
    tell({ event: 'refused', error: `${error.name}: ${error.message}` })
    throw error
  }
  tell({ event: 'committed', partition, offset: end })
  if (options.commit === 'before') work(partition, messages)
  resolveOffset(messages[messages.length - 1].offset)
  await heartbeat()
}

async function main() {
  const options = parse(process.argv.slice(2))
  if (options.protocol !== 'classic' || options.instance !== '') throw new Error('kafkajs can only be a classic member')
  const retry = { initialRetryTime: 100, maxRetryTime: 1000, retries: 60 }
  const kafka = new kafkajs.Kafka({
    brokers: [options.bootstrap], clientId: options.member, logLevel: kafkajs.logLevel.ERROR, retry,
  })
  const consumer = kafka.consumer({
    groupId: options.group,
    sessionTimeout: Number(options['session-ms']),
    heartbeatInterval: Number(options['heartbeat-ms']),
    rebalanceTimeout: 30000,
    maxBytesPerPartition: FETCH_SIZE_MAX,
    maxWaitTimeInMs: 100,
    retry: { ...retry, restartOnFailure: async () => true },
  })
  let owned = []
  const lose = () => {
    if (owned.length > 0) tell({ event: 'revoked', partitions: owned })
    owned = []
  }
  consumer.on(consumer.events.REBALANCING, lose)
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    lose()
    owned = (payload.memberAssignment[options.topic] || []).slice().sort((a, b) => a - b)
    tell({ event: 'assigned', partitions: owned })
  })
  await consumer.connect()
  await consumer.subscribe({ topics: [options.topic], fromBeginning: true })
  const stopped = new Promise(resolve => process.stdin.on('end', resolve).resume())
  await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: payload => handle(consumer, options, payload) })
  await stopped
  await consumer.disconnect()
  tell({ event: 'closed' })
}

main().then(
  () => process.exit(0),
  error => {
    console.error(`kafkajs: ${error.stack}`)
    process.exit(1)
  },
)
