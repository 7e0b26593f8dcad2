// The entry `netref/nats`: services found by name, queues and topics on NATS.
export { Bus, type BusOptions, nats } from './nats/bus.js'
export type { InstanceMetrics, ServiceInstance } from './nats/find.js'
export type { ServiceEndpoint, ServiceOptions } from './nats/service.js'
export { Topic, type TopicOptions } from './nats/topic.js'
export { type SubscribeOptions, TopicSubscription } from './nats/topic-subscription.js'
