// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {Ledger} from "../../../src/Ledger.sol";
import {Market} from "../../../src/Market.sol";
import {Registry} from "../../../src/Registry.sol";
import {ILedger} from "../../../src/interfaces/ILedger.sol";
import {Order} from "../../../src/libraries/Messages.sol";
import {Fixture} from "../Fixture.sol";
import {vm} from "../Forge.sol";
import {Tree} from "../Tree.sol";

/// @notice Who is in the crowd, and what each of them should hold, kept beside the contracts: the trees, and who put in,
/// earned and took out how much. Counts what came about, too.
abstract contract Books is Fixture {
    address[3] public clients;
    address[2] public providers;
    mapping(address provider => Tree tree) public trees;
    uint256[] public leases;
    mapping(uint256 leaseId => uint256 index) public indexOf;
    mapping(uint256 leaseId => uint256 amount) public claimed;
    mapping(address client => uint256 amount) public putIn;
    mapping(address client => uint256 amount) public tookOut;
    mapping(address provider => uint256 amount) public earnedBy;
    mapping(address provider => uint256 amount) public collectedBy;
    /// @notice How many things the crowd did, or tried to.
    uint256 public deedCount;
    /// @notice How often a batch, a demand or a refund was refused, by the error.
    mapping(bytes4 refusal => uint256 count) public refusals;
    mapping(uint256 leaseId => Order order) internal _orders;
    mapping(address party => uint256 secret) internal _secrets;
    mapping(string what => uint256 count) private _times;

    modifier deed() {
        ++deedCount;
        _;
    }

    constructor(Market market_) {
        market = market_;
        ledger = Ledger(address(market_.ledger()));
        registry = Registry(address(ledger.registry()));
        for (uint256 i = 0; i < clients.length; ++i) {
            clients[i] = vm.addr(CLIENT_SECRET + i);
            _secrets[clients[i]] = CLIENT_SECRET + i;
        }
        for (uint256 i = 0; i < providers.length; ++i) {
            providers[i] = vm.addr(PROVIDER_SECRET + i);
            _secrets[providers[i]] = PROVIDER_SECRET + i;
            trees[providers[i]] = new Tree();
        }
    }

    /// @dev The market is given.
    function setUp() public override {}

    function leaseCount() external view returns (uint256) {
        return leases.length;
    }

    /// @notice How often that came about.
    function times(string memory what) external view returns (uint256) {
        return _times[what];
    }

    /// @dev Dice of forge's are often small or alike: these are not.
    function _mixed(uint256 dice) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(dice)));
    }

    function _happens(string memory what) internal {
        ++_times[what];
    }

    /// @dev Who pays in has what it pays.
    function _pays(address payer, address client_, uint256 value) internal {
        vm.deal(payer, payer.balance + value);
        putIn[client_] += value;
    }

    function _isOpen(uint256 leaseId) internal view returns (bool) {
        ILedger.State state = ledger.leaseOf(leaseId).state;
        return state == ILedger.State.Locked || state == ILedger.State.Inserted;
    }

    function _isOverdue(uint256 leaseId) internal view returns (bool) {
        return vm.getBlockTimestamp() >= ledger.leaseOf(leaseId).overdueAt;
    }

    /// @dev The first lease from that one on, in a circle, in that state, and overdue if that is asked; 0 if none.
    function _pick(uint256 which, ILedger.State state, bool overdue) internal view returns (uint256) {
        uint256 count = leases.length;
        for (uint256 i = 0; i < count; ++i) {
            uint256 leaseId = leases[(which % count + i) % count];
            if (ledger.leaseOf(leaseId).state != state) continue;
            if (!overdue || _isOverdue(leaseId)) return leaseId;
        }
        return 0;
    }

    function _only(uint256 leaseId) internal pure returns (uint256[] memory leaseIds) {
        leaseIds = new uint256[](1);
        leaseIds[0] = leaseId;
    }

    /// @dev Sends to the ledger, and counts why it was refused.
    function _sends(address sender, bytes memory text) internal returns (bool taken) {
        bytes memory answer;
        vm.prank(sender);
        (taken, answer) = address(ledger).call(text);
        if (!taken) ++refusals[bytes4(answer)];
    }
}
