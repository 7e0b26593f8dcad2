// The entry `netref/xml-rpc`: lets the clients of XML-RPC call a service, and calls servers of XML-RPC.

export { connectXmlRpc, type XmlRpcConnectOptions } from './xml-rpc/connect.js'
export { type XmlRpcOptions, xmlRpc } from './xml-rpc/gateway.js'
export { XmlRpcFault } from './xml-rpc/xml-rpc-fault.js'
