// The small changes that scripts/mutate.mjs tries on a contract, found in the compiler's tree of its source.

const OPERATORS = {
  "<": ["<=", ">="],
  "<=": ["<", ">"],
  ">": [">=", "<="],
  ">=": [">", "<"],
  "==": ["!="],
  "!=": ["=="],
  "&&": ["||"],
  "||": ["&&"],
  "+": ["-"],
  "-": ["+"],
  "*": ["/"],
  "/": ["*"],
  "%": ["*"],
  "&": ["|"],
  "|": ["&"],
  "<<": [">>"],
  ">>": ["<<"],
  "+=": ["-=", "="],
  "-=": ["+=", "="],
  "=": [],
};
const YUL = { add: "sub", sub: "add", mul: "add", lt: "gt", gt: "lt", mod: "div", addmod: "mulmod", mulmod: "addmod" };

// All changes of one source: where (in characters), what stands there instead, and of what kind.
export function mutantsOf(ast, text) {
  const bytes = Buffer.from(text, "utf8");
  const found = [];
  const span = (node) => {
    const [start, length] = node.src.split(":").map(Number);
    const from = bytes.subarray(0, start).toString("utf8").length;
    return [from, from + bytes.subarray(start, start + length).toString("utf8").length];
  };
  const source = (node) => text.slice(...span(node));
  const add = (kind, [start, end], replacement) => {
    if (text.slice(start, end) !== replacement) found.push({ kind, start, end, text: replacement });
  };

  // The operator between two expressions.
  function between(left, right, operator, kind) {
    const from = span(left)[1];
    const at = text.slice(from, span(right)[0]).indexOf(operator);
    for (const other of OPERATORS[operator] ?? []) add(kind, [from + at, from + at + operator.length], other);
  }

  function condition(node) {
    add("condition", span(node), "true");
    add("condition", span(node), "false");
  }

  const visitors = {
    BinaryOperation: (node) => between(node.leftExpression, node.rightExpression, node.operator, "operator"),
    Assignment: (node) => between(node.leftHandSide, node.rightHandSide, node.operator, "assignment"),
    UnaryOperation: (node) => {
      if (node.operator === "!" || node.operator === "~") add("negation", span(node), source(node.subExpression));
    },
    IfStatement: (node) => condition(node.condition),
    Conditional: (node) => {
      add("choice", span(node), source(node.trueExpression));
      add("choice", span(node), source(node.falseExpression));
    },
    // A bare `true;` is the statement that does nothing: Solidity has no empty one.
    ExpressionStatement: (node) => add("statement", span(node), "true"),
    EmitStatement: (node) => add("event", span(node), "true"),
    RevertStatement: (node) => add("revert", span(node), "true"),
    ModifierInvocation: (node) => add("modifier", span(node), ""),
    Literal: (node) => {
      if (node.kind !== "number" || node.isConstant === false) return;
      const value = source(node);
      if (/^(0x)?[0-9a-f_]+$/i.test(value)) add("number", span(node), `(${value} + 1)`);
    },
    MemberAccess: (node) => {
      const values = { Locked: "Inserted", Inserted: "Closed", Closed: "Locked", None: "Created", Created: "Accepted", Accepted: "Open", Open: "Ended", Ended: "Cancelled", Cancelled: "None", Yes: "No", No: "Unknown", Unknown: "No" };
      const type = node.typeDescriptions?.typeString ?? "";
      if (type.startsWith("enum") && values[node.memberName]) {
        const other = type.endsWith("ILedger.State") && node.memberName === "None" ? "Locked" : values[node.memberName];
        const [, end] = span(node);
        add("state", [end - node.memberName.length, end], other);
      }
    },
    YulFunctionCall: (node) => {
      const other = YUL[node.functionName.name];
      if (other) add("assembly", span(node.functionName), other);
    },
    YulLiteral: (node) => add("assembly", span(node), String(Number(node.value) + 1)),
  };

  function walk(node) {
    if (Array.isArray(node)) return node.forEach(walk);
    if (node === null || typeof node !== "object") return undefined;
    visitors[node.nodeType]?.(node);
    for (const [key, child] of Object.entries(node)) if (key !== "typeDescriptions") walk(child);
    return undefined;
  }
  walk(ast);
  const seen = new Set();
  return found.filter(({ start, end, text: other }) => {
    const key = `${start}:${end}:${other}`;
    return !seen.has(key) && seen.add(key);
  });
}
